"""Commands of ``engram`` in processes of their own, forked where everything is imported, which may be killed."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from pipeline.bench.faults.moments import CallCounter, Moment

HANGS = 124  # status of a command that was stopped because it did not end
KILLED = -signal.SIGKILL
_IMPORTED = ["pipeline.cli.app", "flows.consolidation", "pyarrow.parquet", "mlflow", "matplotlib.pyplot"]
_IMPORTED += ["torch", "transformers", "peft", "datasets", "pipeline.stages.report", "pipeline.report.plots"]


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit status (negative: by that signal), everything it printed, seconds, calls by stage."""

    status: int
    output: str
    seconds: float
    calls: dict[str, int] = field(default_factory=dict)


class Running:
    """One command at work."""

    def __init__(self, process: ForkServerProcess, log: Path, timeout: float) -> None:
        self.process, self.log = process, log
        self.started, self.began_ns = time.monotonic(), time.time_ns()
        self._timeout = timeout

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.is_alive()

    def kill(self) -> None:
        """``kill -9``, of the process and of those that it started."""
        if self.process.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)

    def wait(self) -> Ended:
        """Wait for the end; a command that hangs is killed and ends with status `HANGS`."""
        self.process.join(max(0.1, self._timeout - (time.monotonic() - self.started)))
        hangs = self.process.is_alive()
        if hangs:
            self.kill()
            self.process.join()
        status = HANGS if hangs else int(self.process.exitcode or 0)
        output = self.log.read_text(errors="replace") if self.log.exists() else ""
        counts = self.log.with_suffix(".json")
        told = counts.read_text() if counts.exists() else ""
        calls = json.loads(told) if told else {}  # nothing, where it was killed
        return Ended(status, output, time.monotonic() - self.started, calls)


@dataclass
class Engram:
    """Runs commands.

    Attributes:
        program: ``MODULE:FUNCTION`` that runs as ``engram``.
        logs: Folder for what commands print.
        timeout: Seconds after which one counts as hanging.
    """

    program: str
    logs: Path
    timeout: float
    _started: int = 0

    def __post_init__(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload([self.program.partition(":")[0], *_IMPORTED])

    def start(self, arguments: tuple[str, ...], root: Path, die_at: Moment | None = None) -> Running:
        """Start ``engram ARGUMENTS`` with artifacts below ``root``; it kills itself at the moment ``die_at``."""
        self._started += 1
        log = self.logs / f"{self._started:05d}.txt"
        process = self._context.Process(target=_run, args=(self.program, arguments, root, log, die_at))
        process.start()
        return Running(process, log, self.timeout)

    def run(self, arguments: tuple[str, ...], root: Path, die_at: Moment | None = None) -> Ended:
        """Start a command and wait for its end."""
        return self.start(arguments, root, die_at).wait()


def _run(program: str, arguments: tuple[str, ...], root: Path, log: Path, die_at: Moment | None) -> None:
    """The command's own process, and the leader of its group."""
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ |= {"ENGRAM_HOME": str(root), "COLUMNS": "400", "NO_COLOR": "1"}
    counter = CallCounter(die_at)
    counter.install()
    written = os.open(log.with_suffix(".json"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    sys.argv = ["engram", *arguments]
    module, _, function = program.partition(":")
    try:
        getattr(importlib.import_module(module), function)()
    finally:
        os.pwrite(written, json.dumps(counter.counts).encode(), 0)
