"""Start, recognise and stop exactly the processes of one `engram up`.

A process counts as ours when its id and its start time both equal the record, when it descends from such a process,
or when its environment carries the record's token; a recycled process id therefore never matches.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from pipeline.errors import ServiceError
from pipeline.services.access import LOOPBACK
from pipeline.services.layout import TOKEN, Layout

_CLOCK_SLACK = 1.0  # seconds that two readings of one process's start time may differ


@dataclass(frozen=True)
class Service:
    """One started service.

    Attributes:
        name: ``prefect``, ``mlflow``, ``keeper``, or a worker's: ``cpu``, ``cuda``, ``cpu-2`` …
        pid: Process id of the leader, which is also its session and process group.
        started: Start time of the leader, seconds since the epoch.
        port: Loopback port, or None for a worker.
        log: Log file, relative to the ``.engram`` folder.
        note: What a person should know about it, for example that no GPU was found.
        pool: Work pool that it serves, if it is a worker.
        command: What started it, and starts it again.
        extra: Environment that it alone has; never a secret.
    """

    name: str
    pid: int
    started: float
    port: int | None
    log: str
    note: str = ""
    pool: str | None = None
    command: tuple[str, ...] = ()
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """What one `engram up` started."""

    token: str
    services: tuple[Service, ...]
    host: str = LOOPBACK

    def find(self, name: str) -> Service | None:
        """The service of that name, if it was started."""
        return next((service for service in self.services if service.name == name), None)


def read_state(layout: Layout) -> State | None:
    """Read the record of running services; None when nothing was started or the record is torn."""
    try:
        raw = json.loads(layout.state.read_text())
        rows = [{**row, "command": tuple(row.get("command", ()))} for row in raw["services"]]
        return State(raw["token"], tuple(Service(**row) for row in rows), raw.get("host", LOOPBACK))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_state(layout: Layout, state: State) -> None:
    """Replace the record atomically."""
    text = json.dumps(asdict(state), indent=2)
    temporary = layout.state.with_suffix(".json.tmp")
    temporary.write_text(text + "\n")
    os.replace(temporary, layout.state)


def spawn(
    name: str,
    command: Sequence[str],
    layout: Layout,
    environment: dict[str, str],
    *,
    folder: Path,
    port: int | None = None,
    note: str = "",
    pool: str | None = None,
    extra: Mapping[str, str] | None = None,
    again: bool = False,
) -> Service:
    """Start one service in its own session with its output in ``.engram/logs/<name>.log``.

    Args:
        name: Of the service.
        command: Program and arguments.
        layout: Where its log lies.
        environment: Of all services.
        folder: Working directory.
        port: Loopback port that it will listen on.
        note: What a person should know about it.
        pool: Work pool that it serves.
        extra: Environment that it alone has.
        again: Whether it ran before, so that its log goes on.

    Raises:
        ServiceError: The program cannot be started at all.
    """
    layout.logs.mkdir(parents=True, exist_ok=True)
    log = layout.logs / f"{name}.log"
    with log.open("a" if again else "w") as output:
        if note:
            output.write(f"engram: {note}\n")
            output.flush()
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**environment, **(extra or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ServiceError(f"service `{name}` does not start: {error}") from error
    started = psutil.Process(process.pid).create_time()
    process.returncode = 0  # psutil watches it from now on; without this Python warns that it still runs
    where = str(log.relative_to(layout.home))
    return Service(name, process.pid, started, port, where, note, pool, tuple(command), dict(extra or {}))


def leader(service: Service) -> psutil.Process | None:
    """The service's main process while it lives, else None."""
    try:
        process = psutil.Process(service.pid)
        same = abs(process.create_time() - service.started) < _CLOCK_SLACK
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def members(state: State) -> list[psutil.Process]:
    """Every living process that belongs to the services of ``state``, leaders first."""
    found: dict[int, psutil.Process] = {}
    for service in state.services:
        main = leader(service)
        if main is not None:
            found[main.pid] = main
            with contextlib.suppress(psutil.Error):
                found.update({child.pid: child for child in main.children(recursive=True)})
    own = os.getpid()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            marked = process.environ().get(TOKEN) == state.token
            if marked and process.pid != own and process.status() != psutil.STATUS_ZOMBIE:
                found.setdefault(process.pid, process)
    return list(found.values())


def stop(state: State, patience: float = 20.0) -> int:
    """Stop all services of ``state``: first a request to the leaders, then to everything that is left.

    Args:
        state: What to stop.
        patience: Seconds that the services get to end by themselves.

    Returns:
        Number of processes that were stopped.

    Raises:
        ServiceError: A process survived even SIGKILL.
    """
    everything = {process.pid: process for process in members(state)}
    leaders = [main for service in reversed(state.services) if (main := leader(service)) is not None]
    for main in leaders:  # workers before the server that they talk to
        with contextlib.suppress(psutil.Error):
            main.send_signal(signal.SIGTERM)
    _wait_gone(leaders, patience)
    for signal_number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 10.0)):
        rest = members(state)
        everything.update({process.pid: process for process in rest})
        alive = [process for process in everything.values() if _alive(process)]
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal_number)
        _wait_gone(alive, seconds)
    survivors = [process.pid for process in everything.values() if _alive(process)]
    if survivors:
        raise ServiceError(f"processes {survivors} did not end; stop them by hand, then run `engram down` again")
    return len(everything)


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _wait_gone(processes: list[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(_alive(process) for process in processes):
        psutil.wait_procs(processes, timeout=0.2)


def log_tail(layout: Layout, service: Service, lines: int = 15) -> str:
    """The last lines of the service's log, for an error message."""
    try:
        text = (layout.home / service.log).read_text(errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join(text.rstrip().splitlines()[-lines:]) or "(the log is empty)"
