"""The few calls of Prefect's REST interface that starting, stopping and looking need, without importing Prefect."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from pipeline.errors import ServiceError
from pipeline.services.access import CLIENT, LOOPBACK, headers, reached_at

_BUSY, _ATTEMPTS = 503, 6  # SQLite was locked for a moment; Prefect asks its clients to try again
ALIVE = ("PENDING", "RUNNING", "CANCELLING")
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED", "PAUSED")
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback never goes through a proxy


def answers(url: str, timeout: float = 2.0) -> bool:
    """Whether ``url`` answers a GET with status 200."""
    try:
        with _OPENER.open(url, timeout=timeout) as reply:
            return bool(reply.status == 200)
    except (OSError, ValueError):
        return False


class PrefectServer:
    """Client of one Prefect server; it authenticates with what the environment holds.

    Args:
        port: Of the server.
        host: The address that the server is bound to.
    """

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        self.url = f"http://{reached_at(host)}:{port}/api"

    def healthy(self) -> bool:
        """Whether the server answers."""
        return answers(f"{self.url}/health")

    def call(self, method: str, path: str, body: object | None = None, missing_ok: bool = False) -> Any:
        """Send one JSON request and return the decoded reply (None for an empty one).

        Args:
            method: GET, POST, PUT, PATCH or DELETE.
            path: Below ``/api``, beginning with a slash.
            body: JSON-serialisable request body.
            missing_ok: Return None for status 404 and 409 instead of raising.

        Raises:
            ServiceError: The server does not answer, or refuses the request.
        """
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(_ATTEMPTS):
            request = urllib.request.Request(
                self.url + path, data=data, method=method, headers={"Content-Type": "application/json"} | headers()
            )
            try:
                with _OPENER.open(request, timeout=30) as reply:
                    text = reply.read()
                return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                if missing_ok and error.code in (404, 409):
                    return None
                if error.code == 401:
                    raise ServiceError(
                        f"the Prefect server at {self.url} wants a name and a password: set {CLIENT}=name:password "
                        "in the environment, as it was when the services were started"
                    ) from None
                if error.code != _BUSY or attempt == _ATTEMPTS - 1:
                    detail = error.read().decode(errors="replace")[:400]
                    raise ServiceError(f"Prefect refused {method} {path}: status {error.code}, {detail}") from error
            except OSError as error:
                if method == "GET" and isinstance(error, TimeoutError) and attempt < _ATTEMPTS - 1:
                    continue  # a busy machine answers late; asking again does no harm
                raise ServiceError(
                    f"no Prefect server answers at {self.url} ({error}); start the services with `engram up`"
                ) from error
            time.sleep(0.5 * (attempt + 1))
        raise AssertionError("the last attempt returns or raises")

    def ensure_pool(self, name: str, description: str) -> None:
        """Create the process work pool ``name`` unless it exists."""
        if self.call("GET", f"/work_pools/{quote(name)}", missing_ok=True) is None:
            known = self.call("GET", "/collections/views/aggregate-worker-metadata")
            template = known["prefect"]["process"]["default_base_job_configuration"]
            body = {"name": name, "type": "process", "description": description, "base_job_template": template}
            self.call("POST", "/work_pools/", body, missing_ok=True)

    def ensure_limit(self, name: str, slots: int) -> None:
        """Create or reset the global concurrency limit ``name``; nothing holds a slot afterwards."""
        path = f"/v2/concurrency_limits/{quote(name, safe='')}"
        if self.call("GET", path, missing_ok=True) is None:
            self.call("POST", "/v2/concurrency_limits/", {"name": name, "limit": slots, "active": True})
        else:
            self.call("PATCH", path, {"limit": slots, "active": True, "active_slots": 0})

    def ensure_automation(self, definition: dict[str, Any]) -> None:
        """Create the automation, or replace the one of the same name."""
        wanted = {"automations": {"name": {"any_": [definition["name"]]}}}
        known = self.call("POST", "/automations/filter", wanted)
        if known:
            self.call("PUT", f"/automations/{known[0]['id']}", definition)
        else:
            self.call("POST", "/automations/", definition)

    def workers(self, pool: str) -> list[dict[str, Any]]:
        """Workers of a pool, the one heard last first; empty when the pool does not exist."""
        found = self.call("POST", f"/work_pools/{quote(pool)}/workers/filter", {}, missing_ok=True)
        return sorted(found or [], key=lambda row: row["last_heartbeat_time"] or "", reverse=True)

    def has_worker(self, pool: str, name: str | None = None) -> bool:
        """Whether a worker of the pool, or the one of that name, is online."""
        return any(row["status"] == "ONLINE" and name in (None, row["name"]) for row in self.workers(pool))

    def flow_runs(self, limit: int = 10, states: tuple[str, ...] = ALIVE + ENDED) -> list[dict[str, Any]]:
        """Newest flow runs in one of ``states``; scheduled ones only when asked for."""
        body = {"limit": limit, "sort": "START_TIME_DESC", "flow_runs": {"state": {"type": {"any_": list(states)}}}}
        return list(self.call("POST", "/flow_runs/filter", body))

    def overdue_runs(self) -> list[dict[str, Any]]:
        """Runs that a schedule wanted to start before now and that nobody started."""
        now = datetime.now(UTC).isoformat()
        wanted = {"state": {"type": {"any_": ["SCHEDULED"]}}, "next_scheduled_start_time": {"before_": now}}
        found = self.call("POST", "/flow_runs/filter", {"limit": 200, "flow_runs": wanted})
        return [run for run in found if run["auto_scheduled"]]

    def deployments(self) -> list[dict[str, Any]]:
        """All deployments, each with its flow's name under ``flow_name``."""
        names = {row["id"]: row["name"] for row in self.call("POST", "/flows/filter", {})}
        found = self.call("POST", "/deployments/filter", {})
        return [{**row, "flow_name": names.get(row["flow_id"], "?")} for row in found]

    def force_state(self, run: dict[str, Any], kind: str, message: str) -> None:
        """Set a flow run to ``kind`` (CRASHED or CANCELLED) whatever it was."""
        state = {"type": kind, "name": kind.title(), "message": message}
        self.call("POST", f"/flow_runs/{run['id']}/set_state", {"state": state, "force": True}, missing_ok=True)
