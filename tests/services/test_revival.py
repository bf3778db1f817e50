"""Which crashed nights start again, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.services.api import PrefectServer
from pipeline.services.revival import FORGOTTEN, SETTLED, STARTS, revive

NOW = datetime(2026, 11, 27, 4, 0, tzinfo=UTC)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def crashed(**changes: Any) -> dict[str, Any]:
    known = {"id": "a", "name": "night", "deployment_id": "d", "flow_id": "f", "parent_task_run_id": None}
    times = {"run_count": 1, "start_time": ago(600), "created": ago(700), "state": {"timestamp": ago(60)}}
    return known | times | changes


class Server(PrefectServer):
    def __init__(self, dead: dict[str, Any], *others: dict[str, Any], flow: str = "consolidation") -> None:
        super().__init__(1)
        self.dead, self.others, self.flow = dead, others, flow
        self.set: list[Any] = []

    def flow_runs(self, limit: int = 10, states: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        return [self.dead] if states == ("CRASHED",) else [self.dead, *self.others]

    def call(self, method: str, path: str, body: object | None = None, missing_ok: bool = False) -> Any:
        if path == "/flows/filter":
            return [{"id": "f", "name": self.flow}]
        self.set.append((path, body))
        return None


def test_a_crashed_night_is_scheduled_again_once_its_crash_is_settled() -> None:
    server = Server(crashed())
    assert revive(server, NOW, lambda line: None) == ["night"]
    ((path, body),) = server.set
    assert path == "/flow_runs/a/set_state" and body["state"]["type"] == "SCHEDULED" and body["force"]


@pytest.mark.parametrize(
    "changes",
    [
        {"state": {"timestamp": ago(SETTLED - 1)}},
        {"state": {"timestamp": ago(FORGOTTEN + 1)}},
        {"run_count": STARTS},
        {"parent_task_run_id": "p"},
        {"deployment_id": None},
    ],
)
def test_others_are_left_alone(changes: dict[str, Any]) -> None:
    assert revive(Server(crashed(**changes)), NOW, print) == []
    assert revive(Server(crashed(), flow="gpu-stages"), NOW, print) == []


def test_a_later_run_of_the_deployment_has_taken_the_night_up() -> None:
    later = crashed(id="b", start_time=ago(300))
    refused = crashed(id="c", start_time=None)
    assert revive(Server(crashed(), later), NOW, print) == []
    assert revive(Server(crashed(), refused), NOW, lambda line: None) == ["night"]
    assert revive(Server(crashed(), later | {"deployment_id": "e"}), NOW, lambda line: None) == ["night"]
