"""Processes of a training: what one says, what all exchange, and that the end of one is the end of all."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from pipeline.errors import ConfigError, DataError, TrainingError
from pipeline.language.exchange import Exchange
from pipeline.language.processes import in_processes, process_count
from pipeline.progress import Progress, Silent

SLOW = pytest.mark.slow  # every process imports PyTorch


class Noted(Silent):
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def phase(self, description: str, total: int | None = None) -> None:
        self.told.append((description, total))

    def advance(self, amount: int = 1) -> None:
        self.told.append(amount)

    def note(self, text: str) -> None:
        self.told.append(text)


def exchanges(number: int, exchange: Exchange, progress: Progress) -> dict[str, object]:
    rank = exchange.rank
    progress.phase(f"process {rank}", 3)
    progress.advance(2)
    progress.note("done")
    print("what a library says")
    return {
        "size": exchange.size,
        "sum": exchange.add(torch.full((3,), float(number * (rank + 1)))).tolist(),
        "copy": exchange.copy(torch.tensor([rank]), source=1).tolist(),
        "asked": exchange.ask_first(lambda: (rank, "first")),
        "totals": exchange.totals([0.1, rank], torch.device("cpu")),
        "folder": os.getcwd(),
        "pid": os.getpid(),
    }


@SLOW
def test_processes_exchange_and_the_first_one_answers(capfd: pytest.CaptureFixture[str]) -> None:
    progress = Noted()
    found = in_processes(exchanges, (5,), 2, False, progress)
    assert found.pop("pid") != os.getpid() and found.pop("folder") == os.getcwd()
    assert found == {
        "size": 2,
        "sum": [15.0] * 3,
        "copy": [1],
        "asked": (0, "first"),
        "totals": [0.2, 1.0],
    }
    assert progress.told == [("process 0", 3), 2, "done"]
    assert capfd.readouterr() == ("", "")


def refuses(exchange: Exchange, progress: Progress) -> None:
    if exchange.rank == 1:
        raise DataError("rows.parquet: no such row")
    exchange.add(torch.zeros(2))


def stumbles(exchange: Exchange, progress: Progress) -> None:
    raise ZeroDivisionError("by nothing")


def dies(exchange: Exchange, progress: Progress) -> None:
    if exchange.rank == 1:
        os.write(2, b"the driver is gone\n")
        os.kill(os.getpid(), signal.SIGKILL)
    exchange.add(torch.zeros(2))


def leaves(exchange: Exchange, progress: Progress) -> None:
    os._exit(3)


def hangs(exchange: Exchange, progress: Progress) -> None:
    if exchange.rank == 1:
        time.sleep(600)
    exchange.add(torch.zeros(2))


@SLOW
@pytest.mark.parametrize(
    ("function", "count", "error", "told"),
    [
        (refuses, 2, DataError, r"^rows\.parquet: no such row$"),
        (dies, 2, TrainingError, "process 2 of 2 of the training was ended by signal SIGKILL(.|\n)*the driver is gone"),
        (hangs, 2, TrainingError, "process 1 of 2 of the training gave up: no answer from another process"),
        (stumbles, 1, TrainingError, "process 1 of 1 of the training failed: ZeroDivisionError: by nothing"),
        (leaves, 1, TrainingError, "process 1 of 1 of the training ended with status 3"),
    ],
)
def test_the_end_of_one_is_the_end_of_all(function: object, count: int, error: type[Exception], told: str) -> None:
    start = time.monotonic()
    with pytest.raises(error, match=told):
        in_processes(function, (), count, False, Silent(), timedelta(seconds=20))  # type: ignore[arg-type]
    assert time.monotonic() - start < 120


def waits(path: Path, exchange: Exchange, progress: Progress) -> None:
    (path / str(exchange.rank)).write_text(str(os.getpid()))
    exchange.add(torch.zeros(1))
    progress.note("begun")
    time.sleep(600)


class Interrupted(Exception):
    """Stands for Ctrl-C in the calling process."""


class Interrupts(Silent):
    def note(self, text: str) -> None:
        raise Interrupted


@SLOW
def test_none_outlives_the_call(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        in_processes(waits, (tmp_path,), 2, False, Interrupts())
    for rank in "01":
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / rank).read_text()), 0)


def test_processes_are_counted_by_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [process_count(wanted, True) for wanted in (1, 2, "auto")] == [1, 2, 2]
    assert [process_count(wanted, False) for wanted in (1, 3, "auto")] == [1, 3, 1]
    with pytest.raises(ConfigError, match=r"lora\.processes=3, but PyTorch sees 2 GPUs here: .* at most 2, or to auto"):
        process_count(3, True)
