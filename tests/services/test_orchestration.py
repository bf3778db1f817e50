"""What the server is told: automations, the page, and what becomes of missed nights."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import ServiceError
from pipeline.services.api import PrefectServer
from pipeline.services.orchestration import automations, ensure_pager, pause_again, paused_deployments, settle_missed

SAID: list[str] = []


class Server(PrefectServer):
    """Knows some overdue runs; remembers what was done to them, and what was asked."""

    def __init__(self, overdue: list[dict[str, Any]]) -> None:
        super().__init__(1)
        self.overdue = overdue
        self.forced: dict[str, tuple[str, str]] = {}
        self.asked: list[tuple[str, str, Any]] = []

    def overdue_runs(self) -> list[dict[str, Any]]:
        return self.overdue

    def force_state(self, run: dict[str, Any], kind: str, message: str) -> None:
        self.forced[run["id"]] = (kind, message)

    def call(self, method: str, path: str, body: object | None = None, missing_ok: bool = False) -> Any:
        self.asked.append((method, path, body))
        if path.endswith("/engram-page"):
            return None
        return [{"id": "schema"}] if path == "/block_schemas/filter" else {"id": "new"}


def missed(deployment: str, *days: int) -> list[dict[str, Any]]:
    return [
        {"id": f"{deployment}{day}", "deployment_id": deployment, "expected_start_time": f"2026-11-{day:02d}T03:15:00Z"}
        for day in days
    ]


def test_one_night_makes_up_for_all_that_were_missed() -> None:
    server, said = Server([*missed("a", 9, 11, 10), *missed("b", 10)]), SAID.copy()
    settle_missed(server, "once", said.append)
    assert set(server.forced) == {"a9", "a10"} and {kind for kind, _ in server.forced.values()} == {"CANCELLED"}
    assert "3 scheduled runs were missed; the newest starts now" in said


def test_missed_nights_can_be_skipped() -> None:
    server = Server(missed("a", 9, 10))
    settle_missed(server, "skip", lambda line: None)
    assert set(server.forced) == {"a9", "a10"}


def test_a_pause_outlives_the_next_deploy(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server([])
    known = [{"id": "a", "paused": True}, {"id": "b", "paused": False}]
    monkeypatch.setattr(server, "deployments", lambda: known)
    pause_again(server, paused_deployments(server))
    assert [(method, path) for method, path, _ in server.asked] == [("POST", "/deployments/a/pause_deployment")]


def test_without_a_page_nothing_calls_a_webhook() -> None:
    assert [a["name"] for a in automations(None)] == ["crash-dead-runs"]
    paging = [a for a in automations("block") if a["name"].startswith("page-")]
    assert len(paging) == 2
    assert all(a["actions"][0]["block_document_id"] == "block" for a in paging)
    assert not any("block_document" in action for a in paging for action in a["actions"])


def test_the_page_s_url_lies_in_a_block_and_in_no_message() -> None:
    server = Server([])
    assert ensure_pager(server, None) is None
    assert ensure_pager(server, "https://example.org/secret") == "new"
    assert server.asked[-1][2]["data"]["url"] == "https://example.org/secret"  # type: ignore[index]
    with pytest.raises(ServiceError) as refused:
        ensure_pager(server, "file:///secret")
    assert "secret" not in str(refused.value)
