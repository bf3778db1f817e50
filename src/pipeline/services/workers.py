"""The workers of one start: how many serve each pool, and which GPU each of them owns.

The k-th worker of pool ``cuda`` sees GPU k alone and holds the limit ``gpu:<k>`` while it works; workers beyond the
number of GPUs share them, and wait for each other. Without a GPU each has a limit of its own, and works on the CPU.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Literal

from pipeline.services.layout import gpu_count

Missed = Literal["once", "skip"]
"""What becomes of nights that a schedule missed: the newest is made up for, or none is."""


@dataclass(frozen=True)
class Asked:
    """What a person may choose of a start.

    Attributes:
        workers: Of pool ``cpu``; each runs any number of nights side by side.
        gpu_workers: Of pool ``cuda``; None is one for every GPU, and one without any.
        missed: What becomes of nights that a schedule missed while the services did not run.
        page: URL that is told of nights that fail; None keeps the one that was set before.
    """

    workers: int = 1
    gpu_workers: int | None = None
    missed: Missed = "once"
    page: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Worker:
    """How to start one worker; see `pipeline.services.processes.spawn`."""

    name: str
    pool: str
    command: tuple[str, ...]
    extra: dict[str, str]
    note: str = ""


def slot_of(number: int, gpus: int) -> str:
    """The strict limit that worker ``number`` of pool ``cuda``, counted from 0, holds while it works."""
    return f"gpu:{number % gpus if gpus else number}"


def slots(asked: Asked) -> tuple[str, ...]:
    """Every limit that the workers of pool ``cuda`` need."""
    gpus = gpu_count()
    return tuple(dict.fromkeys(slot_of(number, gpus) for number in range(_gpu_workers(asked, gpus))))


def workers(asked: Asked) -> tuple[Worker, ...]:
    """Every worker of a start, those of pool ``cpu`` first."""
    gpus = gpu_count()
    found = [cpu_worker(number) for number in range(max(1, asked.workers))]
    return (*found, *(cuda_worker(number, gpus) for number in range(_gpu_workers(asked, gpus))))


def cpu_worker(number: int) -> Worker:
    """Worker ``number`` of pool ``cpu``, counted from 0; it sees no GPU."""
    name = _name("cpu", number)
    return Worker(name, "cpu", _command("cpu", name), {"CUDA_VISIBLE_DEVICES": "", "ENGRAM_WORKER": name})


def cuda_worker(number: int, gpus: int) -> Worker:
    """Worker ``number`` of pool ``cuda``, counted from 0: one run at a time, on one GPU of ``gpus``."""
    name, slot = _name("cuda", number), slot_of(number, gpus)
    note = "" if gpus else f"no GPU is visible: worker {name} runs on the CPU"
    visible = str(number % gpus) if gpus else ""
    extra = {"CUDA_VISIBLE_DEVICES": visible, "ENGRAM_WORKER": name, "ENGRAM_SLOT": slot}
    return Worker(name, "cuda", (*_command("cuda", name), "--limit", "1"), extra, note)


def _gpu_workers(asked: Asked, gpus: int) -> int:
    return max(1, gpus) if asked.gpu_workers is None else max(1, asked.gpu_workers)


def _name(pool: str, number: int) -> str:
    return pool if number == 0 else f"{pool}-{number + 1}"


def _command(pool: str, name: str) -> tuple[str, ...]:
    start = (sys.executable, "-m", "prefect", "worker", "start", "--type", "process", "--install-policy", "never")
    return (*start, "--pool", pool, "--name", name)
