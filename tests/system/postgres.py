"""A PostgreSQL server of a test's own: Debian's programs, an unprivileged user, a password, a free port of loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.services.ports import choose

PROGRAMS = Path("/usr/lib/postgresql")
USER = "postgres"


def lacking() -> str | None:
    """Why no server, or no driver for it, can be had here; None when both can."""
    if not list(PROGRAMS.glob("*/bin/initdb")):
        return f"no PostgreSQL below {PROGRAMS}: apt install postgresql"
    if not os.geteuid() and subprocess.run(["id", USER], capture_output=True, check=False).returncode:
        return "no user `postgres`: apt install postgresql"
    return None if find_spec("psycopg2") else "no driver: pip install -r requirements-system.txt"


@dataclass(frozen=True)
class Postgres:
    """A running server; whoever connects needs `environment`."""

    programs: Path
    port: int
    password: str

    @property
    def environment(self) -> dict[str, str]:
        """What libpq reads."""
        return {"PGUSER": USER, "PGPASSWORD": self.password}

    def uri(self, database: str) -> str:
        """A new, empty database."""
        self.call("createdb", database)
        return f"postgresql://127.0.0.1:{self.port}/{database}"

    def call(self, program: str, *words: str) -> str:
        """What one of PostgreSQL's own programs prints."""
        command = [str(self.programs / program), "-h", "127.0.0.1", "-p", str(self.port), *words]
        environment = {**os.environ, **self.environment}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@contextmanager
def running() -> Iterator[Postgres]:
    """A server with nothing in it, which ends with the block."""
    programs = max(PROGRAMS.glob("*/bin"), key=lambda path: int(path.parent.name))
    folder, password = Path(tempfile.mkdtemp(prefix="engram-postgres-")), secrets.token_hex(16)
    secret, data, port = folder / "secret", folder / "data", choose(0, frozenset())
    options: dict[str, Any] = {"cwd": "/", "env": {}, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    data.mkdir()
    secret.write_text(password)
    if not os.geteuid():  # PostgreSQL refuses to run as root
        options |= {"user": USER, "group": USER}
        for path in (folder, data, secret):
            shutil.chown(path, USER, USER)
    process = None
    try:
        made = [str(programs / "initdb"), "-D", str(data), "-U", USER, "-A", "scram-sha-256", "--pwfile", str(secret)]
        subprocess.run([*made, "-E", "UTF8"], check=True, **options)
        command = [str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
        process = subprocess.Popen(command, **options)
        until, ready = time.monotonic() + 60, [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            assert time.monotonic() < until and process.poll() is None, "PostgreSQL did not start"
            time.sleep(0.2)
        yield Postgres(programs, port, password)
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # its fast shutdown
            process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)
