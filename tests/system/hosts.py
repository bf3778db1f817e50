"""Hosts as network namespaces on one bridge, PostgreSQL and a Prefect server on one of them, workers on the others."""

from __future__ import annotations

import base64
import ctypes
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
POSTGRES = Path("/usr/lib/postgresql")
HOLDING = "holding"
"""File below the artifact root that names the worker of the night that is under way; see `scripted_flows`."""
_NEWNET = 0x40000000
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def lacking() -> str | None:
    """Why hosts cannot be had here; None when they can."""
    if os.geteuid():
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "no `ip` command: apt install iproute2"
    if not list(POSTGRES.glob("*/bin/initdb")):
        return f"no PostgreSQL below {POSTGRES}: apt install postgresql"
    if subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode:
        return "no user `postgres`: apt install postgresql"
    name = f"engram-{secrets.token_hex(3)}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return "this machine refuses network namespaces"
    _ip("netns", "del", name)
    return None


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Let this thread, and processes that it starts, be on a host."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{namespace}") as there:
        if libc.setns(there.fileno(), _NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
        try:
            yield
        finally:
            libc.setns(here.fileno(), _NEWNET)


class Hosts:
    """A server and its workers' hosts; everything ends with the block.

    Attributes:
        root: The artifact root that all of them share.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.mark = f"e{secrets.token_hex(2)}"
        self.password = secrets.token_hex(16)
        self.folder = Path(tempfile.mkdtemp(prefix="scale-hosts-"))
        self.root = self.folder / "shared"
        self.root.mkdir()
        self._processes: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._ending = ExitStack()

    def __enter__(self) -> Hosts:
        try:
            self._connect()
            self._start_postgres()
            self._start_server()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for host in list(self._processes):
            self.kill(host)
        self._ending.close()
        if error[:1] in ((), (None,)):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _space(self, host: str) -> str:
        return f"{self.mark}-{host}"

    def _connect(self) -> None:
        """One namespace a host, all on the bridge of the server's; addresses 10.77.0.1, .2, .3 …"""
        for number, host in enumerate(("server", *self.names), start=1):
            space = self._space(host)
            _ip("netns", "add", space)
            self._ending.callback(subprocess.run, ["ip", "netns", "del", space], check=False)
            _ip("-n", space, "link", "set", "lo", "up")
            if host == "server":
                _ip("-n", space, "link", "add", "bridge", "type", "bridge")
                _ip("-n", space, "addr", "add", "10.77.0.1/24", "dev", "bridge")
                _ip("-n", space, "link", "set", "bridge", "up")
                continue
            _ip(
                "link",
                "add",
                "lan",
                "netns",
                space,
                "type",
                "veth",
                "peer",
                "name",
                host,
                "netns",
                self._space("server"),
            )
            _ip("-n", self._space("server"), "link", "set", host, "master", "bridge", "up")
            _ip("-n", space, "addr", "add", f"10.77.0.{number}/24", "dev", "lan")
            _ip("-n", space, "link", "set", "lan", "up")

    def start(self, host: str, name: str, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a process on a host; its output goes to a file of that name."""
        with inside(self._space(host)), open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **options
            )
        self._processes.setdefault(host, []).append(process)
        return process

    def kill(self, host: str) -> None:
        """What a power cut does to a host's processes: those in its namespace, whoever started them."""
        found = subprocess.run(["ip", "netns", "pids", self._space(host)], capture_output=True, text=True, check=False)
        for pid in found.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for process in self._processes.pop(host, []):
            process.wait()

    def unplug(self, host: str) -> None:
        """Take a host's cable out."""
        _ip("-n", self._space("server"), "link", "set", host, "down")

    def plug(self, host: str) -> None:
        """Put it in again."""
        _ip("-n", self._space("server"), "link", "set", host, "up")

    def _start_postgres(self) -> None:
        programs = max(POSTGRES.glob("*/bin"), key=lambda path: int(path.parent.name))
        data, secret = self.folder / "postgres", self.folder / "secret"
        self.folder.chmod(0o711)
        data.mkdir()
        secret.write_text(self.password)
        for path in (data, secret):
            shutil.chown(path, "postgres", "postgres")
        made = [str(programs / "initdb"), "-D", str(data), "-A", "scram-sha-256", "--pwfile", str(secret)]
        subprocess.run(made, user="postgres", group="postgres", cwd="/", env={}, check=True, capture_output=True)
        command = [str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-k", str(data)]
        self.start("server", "postgres", command, user="postgres", group="postgres", cwd="/", env={})
        ready = [str(programs / "pg_isready"), "-h", str(data)]
        self.wait("PostgreSQL", 60, lambda: not subprocess.run(ready, capture_output=True, check=False).returncode)

    @property
    def environment(self) -> dict[str, str]:
        """Of server, workers and the prefect command."""
        login = f"engram:{self.password}"
        database = f"postgresql+asyncpg://postgres:{self.password}@127.0.0.1:5432/postgres"
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)]),
            "ENGRAM_HOME": str(self.root),
            "PREFECT_API_DATABASE_CONNECTION_URL": database,
            "PREFECT_SERVER_API_AUTH_STRING": login,
            "PREFECT_API_AUTH_STRING": login,
            "PREFECT_API_URL": "http://10.77.0.1:4200/api",
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_WORKER_HEARTBEAT_SECONDS": "10",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            "PREFECT_LOGGING_LEVEL": "WARNING",
            "PREFECT_CLI_PROMPT": "false",
            "NO_PROXY": "*",
        }

    def _start_server(self) -> None:
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "10.77.0.1", "--port", "4200"]
        self.start("server", "prefect", command, env=self.environment, cwd=self.folder)
        self.wait("the Prefect server", 180, lambda: self.call("GET", "/health") is True)

    def start_revival(self) -> None:
        """What starts crashed nights again, beside the server."""
        command = [sys.executable, "-m", "pipeline.services.revival", "10.77.0.1", "4200"]
        self.start("server", "revival", command, env=self.environment, cwd=self.folder)

    def start_worker(self, host: str, pool: str) -> None:
        """A process worker, named after its host."""
        command = [sys.executable, "-m", "prefect", "worker", "start", "--type", "process", "--pool", pool]
        command += ["--name", host, "--install-policy", "never"]
        own = {
            "ENGRAM_WORKER": host,
            "ENGRAM_FENCE_SECONDS": "45",
            "PREFECT_HOME": str(self.folder / f"prefect-{host}"),
        }
        self.start(host, f"worker-{host}", command, env={**self.environment, **own}, cwd=REPOSITORY)

    def log(self, host: str) -> str:
        """What a host's worker, and the nights that it started, have written."""
        return (self.folder / f"worker-{host}.log").read_text()

    def prefect(self, *words: str) -> None:
        """Run the prefect command on the server's host."""
        with inside(self._space("server")):
            command = [sys.executable, "-m", "prefect", "--no-prompt", *words]
            done = subprocess.run(
                command, cwd=REPOSITORY, env=self.environment, capture_output=True, text=True, check=False
            )
        if done.returncode:
            raise RuntimeError(f"prefect {' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request to Prefect's interface; None when nobody answers."""
        login = base64.b64encode(f"engram:{self.password}".encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://10.77.0.1:4200/api{path}", data, headers, method=method)
        try:
            with inside(self._space("server")), _OPENER.open(request, timeout=30) as reply:
                text = reply.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:500]!r}") from None
        except OSError:
            return None
        return json.loads(text) if text else None

    def wait(self, what: str, seconds: float, ready: Callable[[], object]) -> float:
        """Wait until ``ready``; how many seconds it took."""
        start = time.monotonic()
        while not ready():
            if time.monotonic() - start > seconds:
                logs = "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in self.folder.glob("*.log"))
                raise TimeoutError(f"{what}: not after {seconds:.0f} s\n{logs}")
            time.sleep(0.5)
        return time.monotonic() - start
