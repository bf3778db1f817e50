"""What `engram status` shows: services, latest runs, champion, schedules. Reads only."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import EngramError
from pipeline.services import processes
from pipeline.services.access import reached_at
from pipeline.services.api import answers
from pipeline.services.last_night import run_state
from pipeline.services.layout import Layout
from pipeline.services.processes import Service, State
from pipeline.services.running import prefect_server

NOT_YET = ("no answer", "no server", "offline", "ended")
"""States of a service that the keeper starts again, or has just started."""


@dataclass(frozen=True)
class ServiceRow:
    """One service as a person wants to see it; all values are text ready to print."""

    name: str
    state: str
    address: str
    pid: int
    up: str
    heard: str
    note: str


@dataclass(frozen=True)
class RunRow:
    """One run: ``flow/deployment/id``, state, start in local time, time of its stages, whether it was promoted."""

    name: str
    state: str
    started: str
    promoted: str
    took: str = ""


def services(root: Path) -> list[ServiceRow]:
    """Every service that was started below ``root``; empty when none was."""
    layout = Layout(root.resolve())
    state = processes.read_state(layout)
    return [_service_row(service, state) for service in state.services] if state else []


def _service_row(service: Service, state: State) -> ServiceRow:
    running = processes.leader(service) is not None
    health, heard = _health(service, state) if running else ("ended", "")
    label = f"{service.name} worker" if service.pool else service.name
    address = "" if service.port is None else f"http://{reached_at(state.host)}:{service.port}"
    return ServiceRow(
        name=label,
        state=health,
        address=address,
        pid=service.pid,
        up=_duration(time.time() - service.started) if running else "",
        heard=heard,
        note=service.note,
    )


def _health(service: Service, state: State) -> tuple[str, str]:
    """State and, for a worker, how long ago the server heard from it."""
    if service.port is not None:
        path = "/api/health" if service.name == "prefect" else "/health"
        return ("healthy" if answers(f"http://{reached_at(state.host)}:{service.port}{path}") else "no answer"), ""
    if service.pool is None:
        return "healthy", ""
    server = prefect_server(state)
    if server is None:
        return "no server", ""
    try:
        found = [row for row in server.workers(service.pool) if row["name"] == service.name]
    except EngramError as error:
        return ("name and password wanted" if "a name and a password" in str(error) else "no answer"), ""
    if not found or found[0]["status"] != "ONLINE":
        return "offline", ""
    return "healthy", f"{_duration(_age(found[0]['last_heartbeat_time']))} ago"


def latest_runs(root: Path, limit: int = 5) -> list[RunRow]:
    """The newest runs below ``root``, however they were started."""
    from pipeline.artifacts import list_runs, stage_results

    rows = []
    for run in list_runs(root)[:limit]:
        known = run.manifest()
        finished = stage_results(run)
        verdict = finished.get("promote")
        promoted = "" if verdict is None else "yes" if verdict.metrics.get("promoted") else "no"
        started = datetime.fromisoformat(known["started"]).astimezone().strftime("%Y-%m-%d %H:%M")
        name = f"{known['flow']}/{known['deployment']}/{known['run_id']}"
        took = _duration(sum(result.seconds for result in finished.values()))
        rows.append(RunRow(name, run_state(run), started, promoted, took))
    return rows


def champion(root: Path) -> str | None:
    """The adapter that `engram ask` uses, in one line; None before the first promotion."""
    from pipeline.sessions.champion import find_champion

    found = find_champion(root)
    if found is None:
        return None
    return f"version {found.version} from " + (f"run {found.run.run_id}" if found.run else f"{found.adapter}")


def schedules(root: Path) -> list[str]:
    """Cron schedules of the running server, one line each."""
    state = processes.read_state(Layout(root.resolve()))
    server = prefect_server(state)
    if server is None or not server.healthy():
        return []
    lines = []
    try:
        deployments = server.deployments()
    except EngramError as error:
        return [f"not known, {error}"]
    for deployment in deployments:
        for entry in deployment["schedules"]:
            plan = entry["schedule"]
            active = "active" if entry["active"] and not deployment["paused"] else "paused"
            name = f"{deployment['flow_name']}/{deployment['name']}"
            lines.append(f"{name} at cron `{plan.get('cron', '?')}` {plan.get('timezone') or 'UTC'}, {active}")
    return lines


def _age(stamp: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(stamp.replace("Z", "+00:00"))).total_seconds()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
