"""Run one function in several processes of this host, one a GPU, whose error or end is the end of all.

The processes only work for the one that called: it shows their progress, waits for the first one's result, and ends all
of them when one fails, dies or falls silent. Nothing that a GPU's driver or NCCL does to a process reaches the caller.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import timedelta
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import ConfigError, EngramError, TrainingError
from pipeline.language.exchange import PeerLostError, joined
from pipeline.progress import Progress, Silent

Result = TypeVar("Result")
ANSWER = timedelta(minutes=10)  # after which a process that does not answer the others is given up
GRACE = 5.0  # seconds: for others to tell what went wrong, and to end before they are killed
SAID = 5  # last lines of what a dead process wrote


def process_count(wanted: int | str, on_gpu: bool) -> int:
    """How many processes a setting asks for: ``auto`` is one for each visible GPU, and one on a CPU.

    Raises:
        ConfigError: There are fewer GPUs.
    """
    import torch

    there = torch.cuda.device_count() if on_gpu else 1
    if wanted == "auto":
        return there
    count = int(wanted)
    if on_gpu and count > there:
        raise ConfigError(
            f"lora.processes={count}, but PyTorch sees {there} GPU{'s' if there != 1 else ''} here: "
            f"set lora.processes to at most {there}, or to auto for all of them"
        )
    return count


def in_processes(
    function: Callable[..., Result],
    arguments: Sequence[Any],
    count: int,
    on_gpu: bool,
    progress: Progress,
    timeout: timedelta = ANSWER,
) -> Result:
    """Call ``function(*arguments, exchange, progress)`` in ``count`` fresh processes; the first one's result is all's.

    Args:
        function: Of a module; it and its arguments are handed over by multiprocessing.
        arguments: Of the function, the same for all.
        count: How many processes; a single one has nobody to exchange with.
        on_gpu: Whether each has a GPU of its own.
        progress: Shows what the first process reports.
        timeout: After which a process that does not answer the others is given up.

    Raises:
        EngramError: What a process raised.
        TrainingError: A process failed otherwise, died, or did not answer.
    """
    context = get_context("spawn")
    processes: list[BaseProcess] = []
    pipes: list[Connection] = []
    with tempfile.TemporaryDirectory(prefix="engram-", ignore_cleanup_errors=True) as folder:
        try:
            for rank in range(count):
                here, there = context.Pipe(duplex=False)
                place = (there, rank, count, Path(folder), on_gpu, timeout)
                process = context.Process(target=_work, args=(*place, function, arguments), daemon=True)
                process.start()
                there.close()
                processes.append(process)
                pipes.append(here)
            found: Result = _listen(pipes, processes, Path(folder), progress)
            return found
        finally:
            _end(processes)


def _listen(pipes: Sequence[Connection], processes: Sequence[BaseProcess], folder: Path, progress: Progress) -> Any:
    """The first process's result, once all are done."""
    ranks = {pipe: rank for rank, pipe in enumerate(pipes)}
    result: Any = None
    lost: EngramError | None = None  # what may only follow from another's failure
    until = 0.0
    while ranks:
        ready = wait(list(ranks), None if lost is None else max(0.0, until - time.monotonic()))
        if not ready and lost is not None:
            raise lost
        for pipe in ready:
            assert isinstance(pipe, Connection)
            rank = ranks[pipe]
            try:
                kind, told = pipe.recv()
            except EOFError:
                raise _death(rank, processes, folder) from None
            if kind == "progress":
                name, values = told
                getattr(progress, name)(*values)
                continue
            if isinstance(told, PeerLostError):
                lost, until = lost or _named(rank, len(processes), told), until or time.monotonic() + GRACE
            elif kind == "error":
                raise told
            elif rank == 0:
                result = told
            del ranks[pipe]
    if lost is not None:
        raise lost
    return result


def _named(rank: int, count: int, error: BaseException) -> TrainingError:
    return TrainingError(f"process {rank + 1} of {count} of the training gave up: {error}")


def _death(rank: int, processes: Sequence[BaseProcess], folder: Path) -> TrainingError:
    """Why a process ended without a word, as far as it can be told."""
    process = processes[rank]
    process.join(GRACE)
    code = process.exitcode
    if code is not None and code < 0:
        how = f"was ended by signal {signal.Signals(-code).name}; is there enough memory?"
    else:
        how = f"ended with status {code}"
    log = _log(folder, rank)
    lines = log.read_text(errors="replace").strip().splitlines()[-SAID:] if log.exists() else []
    said = "".join(f"\n  {line}" for line in lines)
    return TrainingError(f"process {rank + 1} of {len(processes)} of the training {how}{said}")


def _end(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    until = time.monotonic() + GRACE
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _log(folder: Path, rank: int) -> Path:
    return folder / f"process-{rank}.log"


class _Relay:
    """A `Progress` that lets the calling process show it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def phase(self, description: str, total: int | None = None) -> None:
        self._pipe.send(("progress", ("phase", (description, total))))

    def advance(self, amount: int = 1) -> None:
        self._pipe.send(("progress", ("advance", (amount,))))

    def note(self, text: str) -> None:
        self._pipe.send(("progress", ("note", (text,))))


def _work(
    pipe: Connection,
    rank: int,
    count: int,
    folder: Path,
    on_gpu: bool,
    timeout: timedelta,
    function: Callable[..., Any],
    arguments: Sequence[Any],
) -> None:
    """One process: what libraries print goes to its log, and it ends with the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends it
    with open(_log(folder, rank), "wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    end_with_parent()
    progress: Progress = _Relay(pipe) if rank == 0 else Silent()
    try:
        with joined(rank, count, folder / "meeting", on_gpu, timeout) as exchange:
            result = function(*arguments, exchange, progress)
            pipe.send(("done", result if rank == 0 else None))
    except EngramError as error:
        pipe.send(("error", error))
    except Exception as error:
        name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        told = TrainingError(f"process {rank + 1} of {count} of the training failed: {name}: {error}")
        told.add_note(traceback.format_exc())
        pipe.send(("error", told))


def end_with_parent() -> None:
    """Let this process, which multiprocessing started, end when the one that started it does, even by a kill."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
