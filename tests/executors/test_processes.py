"""Executor ``processes``: results as they come, one error for a death, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.errors import ConfigError, ServiceError
from pipeline.executors.processes import Processes

pytestmark = pytest.mark.slow  # processes that import PyTorch


def answering(path: str, digest: str, number: int) -> dict[str, Any]:
    return {"pid": os.getpid(), "number": number, "told": [path, digest]}


def dying(path: str, digest: str, number: int) -> dict[str, Any]:
    if number:
        os.kill(os.getpid(), signal.SIGKILL)
    return {}


def test_calls_run_elsewhere_and_the_processes_end_with_it() -> None:
    executor = Processes(2, None)
    try:
        found = [told for _ in range(2) for told in executor.run(answering, [("a", "b", n) for n in range(3)])]
    finally:
        executor.close()
    pids = {told["pid"] for told in found}
    assert sorted(told["number"] for told in found) == [0, 0, 1, 1, 2, 2] and found[0]["told"] == ["a", "b"]
    assert os.getpid() not in pids and len(pids) <= 2 and not any(map(psutil.pid_exists, pids))


def test_the_death_of_a_process_is_one_error() -> None:
    executor = Processes(1, None)
    try:
        with pytest.raises(ServiceError, match=r"died without a word.*memory"):
            list(executor.run(dying, [("", "", 0), ("", "", 1)]))
    finally:
        executor.close()


def sleeping(path: str, digest: str, number: int) -> dict[str, Any]:
    if number:
        time.sleep(600)
    return {"pid": os.getpid()}


def test_what_is_under_way_is_given_up() -> None:
    executor = Processes(2, None)
    started = time.monotonic()
    first = next(executor.run(sleeping, [("", "", 0), ("", "", 1)]))
    executor.close()
    assert time.monotonic() - started < 300 and not psutil.pid_exists(first["pid"])


def test_no_process_outlives_a_caller_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, signal\n"
        "from pipeline.executors.processes import Processes\n"
        "from tests.executors.test_processes import answering\n"
        "if __name__ == '__main__':\n"
        "    executor = Processes(2, None)\n"
        "    print(*{told['pid'] for told in executor.run(answering, [('', '', n) for n in range(4)])}, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "caller.py").write_text(program)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "caller.py")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    pids = [int(pid) for pid in done.stdout.split()]
    until = time.monotonic() + 30
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.1)
    assert done.returncode == -signal.SIGKILL and pids and not any(map(psutil.pid_exists, pids))


def test_an_address_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sharding\.address=head:6379.*sharding\.executor=ray"):
        Processes(2, "head:6379")
