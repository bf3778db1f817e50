"""Fourteen small nights from cron, three of them struck by a crash: fourteen reports, and nobody lifts a finger.

The server, the workers, the schedule, the stages of pool ``cpu`` and the registry are real; the language model and its
encoder are scripted (`tests.system.scripted`), so that the right retention matrix is known. About 40 minutes:

    pytest tests/system/test_fourteen_nights.py -s
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.artifacts import RunFolder, list_runs, read_json
from pipeline.services import processes, stack
from pipeline.services.api import PrefectServer
from pipeline.services.layout import TOKEN, Layout, repository
from pipeline.services.processes import State
from tests.system.nights import write_day
from tests.system.scripted.stages import expected_retention

NIGHTS = int(os.environ.get("ENGRAM_TEST_NIGHTS", "14"))
CRASHES = 3
SECONDS_A_NIGHT = 300.0
SETTINGS = [
    "session=year",
    "evaluation.bootstrap=50",
    "guards.retention_min=-1",
]  # the script forgets more than a night may
SCRIPTED = Path(__file__).parent / "scripted"

pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def services(artifact_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrefectServer]:
    """All services, with scripted models in every process, and the nightly schedule once a minute."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(repository()), str(SCRIPTED)]))
    monkeypatch.setattr(stack, "_toml", lambda: tmp_path / "prefect.toml")
    stack.up(artifact_root, print, 0, 0)
    try:
        server = PrefectServer(record(artifact_root).find("prefect").port or 0)  # type: ignore[union-attr]
        every_minute(server)
        yield server
    finally:
        stack.down(artifact_root, print)


def record(root: Path) -> State:
    found = processes.read_state(Layout(root))
    assert found is not None
    return found


def every_minute(server: PrefectServer) -> None:
    deployment = server.call("GET", "/deployments/name/consolidation/nightly")
    (old,) = deployment["schedules"]
    server.call("DELETE", f"/deployments/{deployment['id']}/schedules/{old['id']}")
    parameters = deployment["parameters"] | {"overrides": SETTINGS}
    server.call("PATCH", f"/deployments/{deployment['id']}", {"parameters": parameters})
    schedule = {"schedule": {"cron": "* * * * *", "timezone": "Europe/Berlin"}, "active": True}
    server.call("POST", f"/deployments/{deployment['id']}/schedules", [schedule])


def teach(root: Path, day: int) -> list[str]:
    """What a person does by day, and no other thing."""
    file = root / f"day-{day}.jsonl"
    ids = write_day(file, day)
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", "teach", str(file), "--session", "year"]
    path = os.pathsep.join([str(repository() / "src"), str(repository()), str(SCRIPTED)])
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": path})
    return ids


def finished(root: Path) -> list[RunFolder]:
    runs = [run for run in list_runs(root, "consolidation", "nightly") if run.state == "done"]
    return [run for run in reversed(runs) if (run.path / "report.json").is_file()]


def kill(state: State, kind: str) -> str:
    """``kill -9``: a flow, or a worker together with the flows that it started."""
    leaders = [main for service in state.services if service.pool and (main := processes.leader(service))]
    flows = [child for main in leaders for child in main.children(recursive=True)]
    if not flows:
        return ""
    victim = random.choice(flows)
    doomed = [victim]
    if kind == "host":
        doomed = [main for main in leaders if victim in main.children(recursive=True)] + flows
    for process in doomed:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.Error:
            continue
    return f"{kind}: {len(doomed)} processes"


def test_fourteen_nights_from_cron_with_three_crashes(services: PrefectServer, artifact_root: Path) -> None:
    random.seed(int(os.environ.get("ENGRAM_TEST_SEED", "0")) or None)
    days: dict[int, list[str]] = {}
    struck = dict(zip(sorted(random.sample(range(2, NIGHTS), CRASHES)), ("flow", "host", "flow"), strict=True))
    print(f"crashes in nights {struck}")
    for night in range(1, NIGHTS + 1):
        days[night] = teach(artifact_root, night)
        began, strike_at = time.monotonic(), 0.0
        while len(finished(artifact_root)) < night:
            assert time.monotonic() - began < SECONDS_A_NIGHT, f"night {night} does not end: {services.flow_runs(9)}"
            time.sleep(1.0)
            running = [run for run in list_runs(artifact_root, "consolidation", "nightly") if run.state == "running"]
            if night in struck and running:
                strike_at = strike_at or time.monotonic() + random.uniform(0.0, 15.0)
                if time.monotonic() >= strike_at and (what := kill(record(artifact_root), struck[night])):
                    print(f"night {night}: killed {what}", flush=True)
                    del struck[night]
        print(f"night {night}: finished after {time.monotonic() - began:.0f} s", flush=True)
    runs = finished(artifact_root)
    assert not struck and len(runs) >= NIGHTS
    report = read_json(runs[NIGHTS - 1].path / "report.json")
    expected = expected_retention(days)
    assert report["retention"].keys() == expected.keys()
    for night, row in expected.items():
        assert report["retention"][night] == pytest.approx(row), f"night {night}"
    assert all(read_json(run.path / "report.json")["promoted"] for run in runs[:NIGHTS])
    token = record(artifact_root).token
    stack.down(artifact_root, print)
    assert not [p for p in psutil.process_iter(["environ"]) if (p.info["environ"] or {}).get(TOKEN) == token]
    assert not any(run.state == "running" for run in list_runs(artifact_root))
