"""One input through one way in: refused by name or taken whole, within seconds, with nothing half written."""

from __future__ import annotations

import shutil
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from pipeline.errors import EngramError
from pipeline.fuzzing.targets import WayIn

SECONDS = 10.0
"""Processor time of one input at most; a megabyte of the worst Markdown takes longer, a fuzzer's input is shorter."""


@dataclass(frozen=True)
class Finding:
    """What must not happen.

    Attributes:
        way: Through which way in.
        kind: traceback, hang or leftover.
        what: The error, or the file.
        where: The innermost line of the product.
    """

    way: str
    kind: str
    what: str
    where: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for two inputs that show the same mistake."""
        return (self.way, self.kind, self.what.partition(":")[0], self.where)


class _Hang(BaseException):
    """The time of one input is over."""


def examine(way: WayIn, data: bytes, folder: Path, seconds: float = SECONDS) -> Finding | None:
    """Hand the input to the way in; ``folder`` is emptied first.

    Args:
        way: The way in.
        data: The fuzzer's bytes.
        folder: Where the input is put, and where nothing may be left.
        seconds: Processor time.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = folder / way.file
    path.write_bytes(way.compose(data))
    refused = False
    try:
        with _limited(seconds):
            way.take(path)
    except EngramError:
        refused = True
    except _Hang as error:
        return Finding(way.name, "hang", f"over {seconds:g} s", _where(error))
    except Exception as error:
        return Finding(way.name, "traceback", f"{type(error).__name__}: {error}"[:300], _where(error))
    left = sorted(file.name for file in folder.iterdir() if file != path)
    torn = [name for name in left if refused or name.endswith(".tmp")]
    return Finding(way.name, "leftover", ", ".join(torn)) if torn else None


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def over(number: int, frame: FrameType | None) -> None:
        raise _Hang

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _where(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "pipeline" in Path(frame.filename).parts]
    inner = [frame for frame in frames if "fuzzing" not in Path(frame.filename).parts] or frames
    return f"{Path(inner[-1].filename).name}:{inner[-1].lineno}" if inner else ""
