"""Handing a night to the workers: what is asked of the server, and what its answers become."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from pipeline.artifacts import RunFolder
from pipeline.cli import submission
from pipeline.cli.submission import submit
from pipeline.errors import ConfigError, ServiceError
from pipeline.stages.night import configure
from tests.stages.nights import SMALL, ScriptedNight

SETTINGS = (*SMALL, "tracking.enabled=false")


class Server:
    """A Prefect server whose workers have finished the night before anybody looks."""

    url = "http://127.0.0.1:4200/api"

    def __init__(self, state: str = "COMPLETED") -> None:
        self.state = state
        self.parameters: dict[str, Any] = {}

    def call(self, method: str, path: str, body: Any = None, missing_ok: bool = False) -> Any:
        if path.startswith("/deployments/name/"):
            known = path.endswith("consolidation/episodic")
            return {"id": "d", "parameters": {"deployment": "episodic", "placement": "workers"}} if known else None
        if path.endswith("create_flow_run"):
            self.parameters = body["parameters"]
            return {"id": "r", "name": "brave-otter"}
        if path == "/task_runs/filter":
            task = {"id": "t", "name": "teach-1a2", "state_type": "COMPLETED", "state_name": "Completed"}
            other = task | {"id": "u", "name": "brave-otter-0"}
            return [{**row, "total_run_time": 7.25, "end_time": "2026"} for row in (task, other)]
        if path == "/flow_runs/filter":
            return []
        return {"state": {"type": self.state, "name": self.state.title(), "message": "the reason"}}


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=100)


def handed_over(monkeypatch: pytest.MonkeyPatch, console: Console, server: Server, target: str) -> RunFolder:
    monkeypatch.setattr(submission, "_server", lambda config: server)
    return submit(console, configure(target, SETTINGS), SETTINGS, None, "evaluate")


def test_the_finished_run_comes_back(monkeypatch: pytest.MonkeyPatch, console: Console) -> None:
    done = ScriptedNight(monkeypatch).run("tracking.enabled=false")
    server = Server()
    assert handed_over(monkeypatch, console, server, "consolidation/episodic").path == done.path
    assert server.parameters == {
        "deployment": "episodic",
        "placement": "workers",
        "overrides": list(SETTINGS),
        "run_id": None,
        "from_stage": "evaluate",
        "only": None,
    }
    assert isinstance(console.file, io.StringIO)
    told = console.file.getvalue()
    assert "runs/flow-run/r" in told and "completed  teach  7.2 s" in told and told.count("completed") == 1


def test_a_failed_flow_run_gives_its_reason(monkeypatch: pytest.MonkeyPatch, console: Console) -> None:
    with pytest.raises(ServiceError, match="brave-otter ended as Crashed: the reason"):
        handed_over(monkeypatch, console, Server("CRASHED"), "consolidation/episodic")


def test_a_deployment_that_the_server_does_not_know_is_named(monkeypatch: pytest.MonkeyPatch, console: Console) -> None:
    with pytest.raises(ServiceError, match="knows no deployment consolidation/nightly"):
        handed_over(monkeypatch, console, Server(), "consolidation/nightly")


def test_what_cannot_be_is_refused_before_a_flow_run_exists(monkeypatch: pytest.MonkeyPatch, console: Console) -> None:
    server = Server()
    monkeypatch.setattr(submission, "_server", lambda config: server)
    config = configure("consolidation/episodic", SETTINGS)
    for run_id, start, only in ((None, "dream", None), (None, None, "dream"), ("../x", None, None)):
        with pytest.raises(ConfigError):
            submit(console, config, SETTINGS, run_id, start, only)
    assert server.parameters == {}
