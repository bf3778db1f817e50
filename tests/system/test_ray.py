"""Executor ``ray`` on a real Ray: the answers of one process, no dashboard, nothing left behind, one by address."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.config.sharding import ShardingConfig
from pipeline.errors import ConfigError, ServiceError
from pipeline.executors import executor_class
from pipeline.language import sharding
from pipeline.language.generation import generate
from pipeline.language.models import LanguageModel
from pipeline.language.sharding import opened_shards, shared
from pipeline.services.ports import choose
from tests.language.shards import BATCH, TOKENS, asked, saved_tiny

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None,
        reason="no Ray: pip install --no-deps -r requirements-system.txt, which `make test-system` does",
    ),
    # Ray's own: it leaves sockets and processes to the collector, and tells of settings that will change.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
]


TOKEN = secrets.token_hex(16)  # Ray reads it once a process


@pytest.fixture(autouse=True)
def own_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    sharding._loaded.cache_clear()


@pytest.fixture
def lm(tmp_path: Path) -> LanguageModel:
    return saved_tiny(tmp_path / "tiny")


def of_ray() -> set[int]:
    """Ids of Ray's processes, wherever they came from."""
    words = ("raylet", "gcs_server", "ray::", "/ray/")
    return {
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(word in part for part in (process.info["cmdline"] or [])[:3] for word in words)
    }


def answers(lm: LanguageModel, folder: Path, **settings: Any) -> tuple[Any, set[int]]:
    """Generations over two shards of Ray, and the processes that ran meanwhile."""
    prompts, against = asked(lm)
    more = {"one_line": True, "against": against, "contrast": 0.3, "max_new_tokens": TOKENS, "batch_size": BATCH}
    with opened_shards(ShardingConfig(shards=2, executor="ray", **settings), folder) as shards:
        made = generate(shared(lm, shards), prompts, **more)
        running = of_ray()
    assert made == generate(lm, prompts, **more)
    return made, running


def test_ray_answers_as_one_process_does_and_leaves_nothing(lm: LanguageModel, tmp_path: Path) -> None:
    before = of_ray()
    _, running = answers(lm, tmp_path)
    commands = [" ".join(psutil.Process(pid).cmdline()) for pid in running if psutil.pid_exists(pid)]
    assert running - before and not [line for line in commands if "dashboard.py" in line]
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0" and os.environ["RAY_AUTH_MODE"] == "token"
    gone(running - before)


def gone(pids: set[int]) -> None:
    """Wait for the end of processes; Ray's workers find out by and by that their node is gone."""
    until = time.monotonic() + 120
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < until:
        time.sleep(0.2)
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """A head node of its own, started by Ray's command."""
    port = choose(0, frozenset())
    command = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
    options = ["--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"]
    environment = {**os.environ, "RAY_AUTH_MODE": "token"}
    before = of_ray()
    with open(tmp_path / "ray.log", "wb") as log:
        subprocess.run([*command, "start", *options], env=environment, stdout=log, stderr=log, check=True)
    started = of_ray() - before
    try:
        yield f"127.0.0.1:{port}"
    finally:
        for pid in started:
            if psutil.pid_exists(pid):
                psutil.Process(pid).kill()
        gone(started)


def test_a_cluster_that_runs_already_is_joined_and_left(lm: LanguageModel, cluster: str, tmp_path: Path) -> None:
    answers(lm, tmp_path, address=cluster)
    answers(lm, tmp_path, address=cluster)  # it is still there


def test_a_killed_caller_leaves_no_ray(tmp_path: Path) -> None:
    program = (
        "import os, signal\n"
        "from pipeline.executors import executor_class\n"
        "from tests.system.test_ray import answering, of_ray\n"
        "if __name__ == '__main__':\n"
        "    before, executor = of_ray(), executor_class('ray')(1, None)\n"
        "    list(executor.run(answering, [('', '', 0)]))\n"
        "    print(*(of_ray() - before), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "caller.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with open(tmp_path / "pids", "wb") as out:  # no pipe: Ray's processes hold it open
        done = subprocess.run([sys.executable, str(tmp_path / "caller.py")], stdout=out, env=environment)
    pids = {int(pid) for pid in (tmp_path / "pids").read_text().split()}
    assert done.returncode == -signal.SIGKILL and pids
    gone(pids)


def answering(path: str, digest: str, number: int) -> dict[str, Any]:
    return {"number": number}


def test_no_cluster_at_the_address_is_one_error() -> None:
    free = f"127.0.0.1:{choose(0, frozenset())}"
    for address, error in ((free, ServiceError), ("head", ConfigError)):
        with pytest.raises(error, match=r"sharding\.address") as told:
            list(executor_class("ray")(2, address).run(answering, [("", "", 0)]))
        assert "\n" not in str(told.value)
