"""`engram up` and `engram down`: a Prefect server, its workers, MLflow's dashboard and a keeper, all on loopback.

Everything lies below ``<root>/.engram``; nothing outside the artifact root is written, save a ``prefect.toml`` in
the repository that lets the plain ``prefect`` command find this server, and that `down` removes again.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.artifacts.locking import FileLock
from pipeline.errors import EngramError, ServiceError
from pipeline.services import ports, processes
from pipeline.services.access import LOOPBACK, reached_at, require_access
from pipeline.services.api import ALIVE, PrefectServer, answers
from pipeline.services.keeper import KEEPER
from pipeline.services.layout import Layout, environment, repository
from pipeline.services.orchestration import configure, pause_again, paused_deployments
from pipeline.services.processes import Service, State
from pipeline.services.running import prefect_server
from pipeline.services.waiting import until_answering
from pipeline.services.workers import Asked, workers

PREFECT_PORT = 4200
MLFLOW_PORT = 5000
START_SECONDS = 180.0  # on two busy cores Prefect takes about 20 s and MLflow about 30 s
LOCK_SECONDS = 5.0
_HEADER = "# written by `engram up`, removed by `engram down`: the prefect command talks to the local server\n"

Say = Callable[[str], None]


def up(
    root: Path,
    say: Say,
    prefect_port: int = PREFECT_PORT,
    mlflow_port: int = MLFLOW_PORT,
    asked: Asked = Asked(),  # noqa: B008  # frozen
    host: str = LOOPBACK,
) -> State:
    """Start all services and wait until every one is healthy; those that already run are only waited for.

    Args:
        root: Artifact root.
        say: Receives one line per step.
        prefect_port: Preferred loopback port of the Prefect server; a free one is taken when it is in use.
        mlflow_port: The same for MLflow's dashboard.
        asked: How many workers, what becomes of missed nights, and whom to page.
        host: The address that both servers are bound to; any but loopback needs a name and a password.

    Returns:
        The services that run now.

    Raises:
        ServiceError: A service failed; everything that was started is stopped again. Or an address is to be opened
            without a name and a password.
    """
    pair = require_access(host)
    ports.require_own(host)
    layout = Layout(root.resolve())
    repository()
    with _exclusively(layout):
        state = processes.read_state(layout)
        if state is None or not all(processes.leader(service) for service in state.services):
            if state is not None:
                processes.stop(state)
            starting = _Start(layout, say, prefect_port, mlflow_port, asked, host, guarded=pair is not None)
            try:
                return starting.run()
            except BaseException as error:
                say("stopping what was started")
                starting.undo()
                if isinstance(error, EngramError | KeyboardInterrupt):
                    raise
                raise ServiceError(f"the services did not start: {error}") from error
    if state.host != host:
        raise ServiceError(f"the services already run on {state.host}; `engram down` first")
    say("the services already run")
    until_answering(root, say, START_SECONDS)
    return state


def down(root: Path, say: Say) -> int:
    """Stop exactly what `up` started and wait until it is gone; runs in progress are marked as cancelled.

    Returns:
        Number of processes that were stopped, 0 when none ran.

    Raises:
        ServiceError: A process cannot be stopped.
    """
    layout = Layout(root.resolve())
    if processes.read_state(layout) is None:
        return 0
    with _exclusively(layout):
        state = processes.read_state(layout)
        if state is None:
            return 0
        _settle(state, say)
        stopped = processes.stop(state)
        _forget_server(state)
        layout.state.unlink(missing_ok=True)
    return stopped


def _settle(state: State, say: Say) -> None:
    """Mark running flows as cancelled, so that the next start finds none "Running", and starts none again."""
    server = prefect_server(state)
    if server is None:
        return
    with contextlib.suppress(ServiceError):
        for run in server.flow_runs(200, ALIVE):
            say(f"run {run['name']} is interrupted; the same command resumes it")
            server.force_state(run, "CANCELLED", "stopped by `engram down`; finished stages are kept")


class _Start:
    """One attempt to start everything; remembers what runs so that it can be undone."""

    def __init__(
        self,
        layout: Layout,
        say: Say,
        prefect_port: int,
        mlflow_port: int,
        asked: Asked,
        host: str = LOOPBACK,
        guarded: bool = False,
    ) -> None:
        self.host, self.guarded = host, guarded
        self.layout = layout
        self.say = say
        self.asked = asked
        self.token = uuid.uuid4().hex
        self.services: list[Service] = []
        self.prefect_port = self._port("Prefect", prefect_port, frozenset())
        self.mlflow_port = self._port("MLflow", mlflow_port, frozenset({self.prefect_port}))
        self.environment = environment(layout, self.prefect_port, self.token, host)

    def _port(self, name: str, wanted: int, taken: frozenset[int]) -> int:
        port = ports.choose(wanted, taken, self.host)
        if wanted and port != wanted:
            self.say(f"port {wanted} is in use: {name} takes {port}")
        return port

    def run(self) -> State:
        """Start, configure and wait; the order keeps two cores busy."""
        for folder in (self.layout.prefect_home, self.layout.mlflow, self.layout.logs):
            folder.mkdir(parents=True, exist_ok=True)
        self._spawn("prefect", self._prefect_command(), port=self.prefect_port)
        self._spawn("mlflow", self._mlflow_command(), port=self.mlflow_port)
        server = PrefectServer(self.prefect_port, self.host)
        self._wait("prefect", server.healthy)
        configure(server, self.asked, self.say)
        for worker in workers(self.asked):
            self._spawn(worker.name, worker.command, note=worker.note, pool=worker.pool, extra=worker.extra)
        paused = paused_deployments(server)
        self._deploy()
        pause_again(server, paused)
        for worker in workers(self.asked):
            self._wait(worker.name, partial(server.has_worker, worker.pool, worker.name))
        self._wait("mlflow", lambda: answers(f"http://{reached_at(self.host)}:{self.mlflow_port}/health"))
        _announce_server(server.url, self.say)
        self._spawn(KEEPER, [sys.executable, "-m", "pipeline.services.keeper", str(self.layout.root)])
        return self._record()

    def undo(self) -> None:
        """Stop what was started so far."""
        state = State(self.token, tuple(self.services), self.host)
        processes.stop(state)
        _forget_server(state)
        self.layout.state.unlink(missing_ok=True)

    def _record(self) -> State:
        state = State(self.token, tuple(self.services), self.host)
        processes.write_state(self.layout, state)
        return state

    def _spawn(self, name: str, command: Sequence[str], **known: Any) -> None:
        service = processes.spawn(name, command, self.layout, self.environment, folder=repository(), **known)
        self.services.append(service)
        self._record()

    def _prefect_command(self) -> list[str]:
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", self.host]
        return [*command, "--port", str(self.prefect_port)]

    def _mlflow_command(self) -> list[str]:
        artifacts = (self.layout.mlflow / "artifacts").as_uri()
        if self.guarded:
            command = [sys.executable, "-m", "pipeline.services.mlflow_server", self.host, str(self.mlflow_port)]
            return [*command, self.layout.tracking_uri, artifacts]
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", self.host]
        command += ["--port", str(self.mlflow_port), "--backend-store-uri", self.layout.tracking_uri]
        return [*command, "--artifacts-destination", artifacts]

    def _deploy(self) -> None:
        """Apply deployments/prefect.yaml."""
        self.say("applying deployments/prefect.yaml")
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        command += ["--prefect-file", "deployments/prefect.yaml"]
        done = subprocess.run(
            command,
            cwd=repository(),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=START_SECONDS,
        )
        (self.layout.logs / "deploy.log").write_text(done.stdout + done.stderr)
        if done.returncode:
            tail = "\n".join((done.stdout + done.stderr).rstrip().splitlines()[-15:])
            raise ServiceError(f"deployments/prefect.yaml was refused (status {done.returncode}):\n{tail}")

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until ``ready``; a service that ends meanwhile fails the start with the tail of its log."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            for service in self.services:
                if processes.leader(service) is None:
                    tail = processes.log_tail(self.layout, service)
                    raise ServiceError(f"service `{service.name}` ended while starting; its log ends with:\n{tail}")
            if ready():
                self.say(f"{name} is healthy")
                return
            if time.monotonic() > deadline:
                service = next(s for s in self.services if s.name == name)
                tail = processes.log_tail(self.layout, service)
                raise ServiceError(f"service `{name}` is not healthy after {START_SECONDS:.0f} s; its log:\n{tail}")
            time.sleep(0.3)


def _toml() -> Path:
    return repository() / "prefect.toml"


def _toml_text(url: str) -> str:
    return f'{_HEADER}\n[api]\nurl = "{url}"\n'


def _announce_server(url: str, say: Say) -> None:
    """Let a plain `prefect` command in the repository find the server, unless another one is in charge there."""
    path = _toml()
    if path.exists():
        text = path.read_text()
        other = re.search(r'url = "(.*)/api"', text)
        if not text.startswith(_HEADER) or (other and answers(f"{other.group(1)}/api/health")):
            say(f"prefect.toml names another server and stays; for this one: export PREFECT_API_URL={url}")
            return
    path.write_text(_toml_text(url))


def _forget_server(state: State) -> None:
    """Remove the file again if it names the server of ``state``."""
    prefect = state.find("prefect")
    with contextlib.suppress(OSError):
        if (
            prefect is not None
            and prefect.port
            and _toml().read_text() == _toml_text(PrefectServer(prefect.port, state.host).url)
        ):
            _toml().unlink()


@contextlib.contextmanager
def _exclusively(layout: Layout) -> Iterator[None]:
    """Keep a second `up` or `down` of the same root out; the keeper holds the lock for a moment at a time."""
    lock = FileLock(layout.lock)
    if not lock.wait(LOCK_SECONDS):
        raise ServiceError("another `engram up` or `engram down` is at work here; wait for it")
    try:
        yield
    finally:
        lock.release()
