"""Pause and resume the schedules of the running server; a pause outlives `engram down` and `engram up`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ServiceError
from pipeline.services import processes
from pipeline.services.api import PrefectServer
from pipeline.services.layout import Layout
from pipeline.services.running import prefect_server


@dataclass(frozen=True)
class ScheduleRow:
    """One cron schedule, as a person wants to see it."""

    name: str
    cron: str
    timezone: str
    state: str
    following: str


def running_server(root: Path) -> PrefectServer:
    """The server that `engram up` started for this artifact root.

    Raises:
        ServiceError: None runs.
    """
    server = prefect_server(processes.read_state(Layout(root.resolve())))
    if server is None:
        raise ServiceError(f"schedules lie in the server, and none runs below {root}; start it with `engram up`")
    return server


def rows(server: PrefectServer) -> list[ScheduleRow]:
    """Every schedule with its next run."""
    found = []
    for deployment in server.deployments():
        for entry in deployment["schedules"]:
            active = entry["active"] and not deployment["paused"]
            plan = entry["schedule"]
            found.append(
                ScheduleRow(
                    name=f"{deployment['flow_name']}/{deployment['name']}",
                    cron=str(plan.get("cron", "?")),
                    timezone=str(plan.get("timezone") or "UTC"),
                    state="active" if active else "paused",
                    following=_next(server, deployment) if active else "",
                )
            )
    return found


def _next(server: PrefectServer, deployment: dict[str, Any]) -> str:
    wanted = {"deployment_id": {"any_": [deployment["id"]]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
    body = {"flow_runs": wanted, "sort": "NEXT_SCHEDULED_START_TIME_ASC", "limit": 1}
    found = server.call("POST", "/flow_runs/filter", body)
    return str(found[0]["next_scheduled_start_time"])[:16].replace("T", " ") + " UTC" if found else ""


def switch(server: PrefectServer, name: str, active: bool) -> None:
    """Pause the schedules of a deployment, which removes its planned runs, or resume them.

    Args:
        server: A running server.
        name: ``FLOW/DEPLOYMENT``.
        active: Whether it shall run by its schedules.

    Raises:
        ServiceError: The server knows no such deployment, or it has no schedule.
    """
    deployment = server.call("GET", f"/deployments/name/{name}", missing_ok=True) if name.count("/") == 1 else None
    scheduled = [row.name for row in rows(server)]
    if deployment is None or name not in scheduled:
        raise ServiceError(f"{name} has no schedule; scheduled are: {', '.join(scheduled) or 'none'}")
    verb = "resume_deployment" if active else "pause_deployment"
    server.call("POST", f"/deployments/{deployment['id']}/{verb}", {})
