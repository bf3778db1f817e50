"""Crashed nights start again by themselves; finished stages are kept.

A night that failed does not start again (its input is wrong, and would be again), nor one that somebody cancelled.
The keeper of `engram up` sees to it on one machine. Beside a server of several hosts this runs:

    python -m pipeline.services.revival ADDRESS PORT
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pipeline.errors import EngramError
from pipeline.services.api import ALIVE, ENDED, PrefectServer

Say = Callable[[str], None]

FLOWS = ("consolidation", "columns", "plasticity", "needle", "sleepwake")
STARTS = 4
"""Times that a night is started at most, the first one included; then it pages, see deployments/automations.yaml."""

LOOK_SECONDS = 10.0  # between two looks at crashed nights
SETTLED = 30.0  # seconds after a crash: its worker reports it twice, and the second report would end a new attempt
FORGOTTEN = 900.0  # seconds after which a crash is history


def revive(server: PrefectServer, now: datetime, say: Say) -> list[str]:
    """Start crashed nights again, each in its own flow run.

    Left alone are children of other runs, nights that crashed too often, and those whose deployment has had another
    run since: that one took the unfinished night up.

    Args:
        server: A healthy server.
        now: The time, with its zone.
        say: Receives one line per night.

    Returns:
        Names of the flow runs that were started.
    """
    crashed = [run for run in server.flow_runs(50, ("CRASHED",)) if _due(run, now)]
    if not crashed:
        return []
    flows = {row["id"]: row["name"] for row in server.call("POST", "/flows/filter", {})}
    recent = server.flow_runs(50, (*ALIVE, *ENDED))
    started = []
    for run in crashed:
        if flows.get(run["flow_id"]) in FLOWS and not _superseded(run, recent):
            state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "crashed; finished stages are kept"}
            server.call("POST", f"/flow_runs/{run['id']}/set_state", {"state": state, "force": True}, missing_ok=True)
            say(f"run {run['name']} has crashed and is started again (start {run['run_count'] + 1} of {STARTS})")
            started.append(str(run["name"]))
    return started


def _due(run: dict[str, Any], now: datetime) -> bool:
    own = run["deployment_id"] is not None and run.get("parent_task_run_id") is None
    age = (now - _moment(run["state"]["timestamp"])).total_seconds()
    return own and run["run_count"] < STARTS and SETTLED <= age <= FORGOTTEN


def _superseded(run: dict[str, Any], recent: list[dict[str, Any]]) -> bool:
    """Whether another run of its deployment has begun since it began, and was not refused."""
    began = _moment(run["start_time"] or run["created"])
    return any(
        other["id"] != run["id"]
        and other["deployment_id"] == run["deployment_id"]
        and other["start_time"] is not None
        and _moment(other["start_time"]) > began
        for other in recent
    )


def _moment(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone(UTC)


def main(address: str, port: int) -> None:
    """Look after the nights of a server, by name or address, until the process is ended; it may be away for a while."""
    server = PrefectServer(port, socket.gethostbyname(address))
    while True:
        try:
            if server.healthy():
                revive(server, datetime.now(UTC), lambda line: print(line, flush=True))
        except EngramError as error:
            print(error, flush=True)
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
