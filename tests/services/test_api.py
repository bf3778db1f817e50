"""The REST client against a scripted server: retries when SQLite is busy, clear errors otherwise."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from pipeline.errors import ServiceError
from pipeline.services import api
from pipeline.services.api import PrefectServer, answers
from pipeline.services.ports import choose


class Scripted(HTTPServer):
    """Answers from a table of (method, path) to a list of (status, body), the last one for ever."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: dict[tuple[str, str], list[tuple[int, Any]]] = {}
        self.asked: list[tuple[str, str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def _reply(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        path = self.path.removeprefix("/api")
        self.server.asked.append((self.command, path, body))
        left = self.server.replies.get((self.command, path), [(404, {"detail": "no such thing"})])
        status, value = left.pop(0) if len(left) > 1 else left[0]
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_PUT = _reply

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def prefect(scripted: Scripted) -> PrefectServer:
    return PrefectServer(scripted.server_port)


def test_a_busy_database_is_asked_again(
    scripted: Scripted, prefect: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.time, "sleep", lambda seconds: None)
    scripted.replies["GET", "/thing"] = [(503, {}), (503, {}), (200, {"a": 1})]
    assert prefect.call("GET", "/thing") == {"a": 1}
    scripted.replies["GET", "/thing"] = [(503, {"why": "locked"})]
    with pytest.raises(ServiceError, match=r"status 503.*locked"):
        prefect.call("GET", "/thing")


def test_a_refusal_and_a_silent_server_are_clear_errors(scripted: Scripted, prefect: PrefectServer) -> None:
    scripted.replies["POST", "/thing"] = [(422, {"detail": "bad body"})]
    with pytest.raises(ServiceError, match=r"status 422.*bad body"):
        prefect.call("POST", "/thing", {})
    assert prefect.call("GET", "/missing", missing_ok=True) is None
    with pytest.raises(ServiceError, match="engram up"):
        PrefectServer(choose(0)).call("GET", "/thing")
    assert not answers(f"http://127.0.0.1:{choose(0)}/")


def test_what_exists_is_updated_and_what_does_not_is_created(scripted: Scripted, prefect: PrefectServer) -> None:
    template = {"prefect": {"process": {"default_base_job_configuration": {"variables": {}}}}}
    scripted.replies = {
        ("GET", "/collections/views/aggregate-worker-metadata"): [(200, template)],
        ("POST", "/work_pools/"): [(201, {})],
        ("POST", "/v2/concurrency_limits/"): [(201, {})],
        ("GET", "/v2/concurrency_limits/gpu%3A1"): [(200, {"limit": 1})],
        ("PATCH", "/v2/concurrency_limits/gpu%3A1"): [(204, None)],
        ("POST", "/automations/filter"): [(200, []), (200, [{"id": "7"}])],
        ("POST", "/automations/"): [(201, {})],
        ("PUT", "/automations/7"): [(204, None)],
    }
    prefect.ensure_pool("cpu", "what it does")
    prefect.ensure_limit("gpu:0", 1)
    prefect.ensure_limit("gpu:1", 1)
    prefect.ensure_automation({"name": "crash-dead-runs"})
    prefect.ensure_automation({"name": "crash-dead-runs"})
    changed = [(method, path) for method, path, _ in scripted.asked if method != "GET" and "filter" not in path]
    assert changed == [
        ("POST", "/work_pools/"),
        ("POST", "/v2/concurrency_limits/"),
        ("PATCH", "/v2/concurrency_limits/gpu%3A1"),
        ("POST", "/automations/"),
        ("PUT", "/automations/7"),
    ]
    bodies = {path: body for method, path, body in scripted.asked if method == "PATCH"}
    assert bodies["/v2/concurrency_limits/gpu%3A1"]["active_slots"] == 0  # a killed run holds nothing for ever


def test_only_what_a_schedule_missed_is_overdue(scripted: Scripted, prefect: PrefectServer) -> None:
    rows = [{"id": "1", "auto_scheduled": True}, {"id": "2", "auto_scheduled": False}]
    scripted.replies["POST", "/flow_runs/filter"] = [(200, rows)]
    assert [run["id"] for run in prefect.overdue_runs()] == ["1"]
