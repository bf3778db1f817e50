"""`up` and `down`: all services or none, twice is once, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from pipeline.config import deployments
from pipeline.errors import ServiceError
from pipeline.services import ports, processes, stack
from pipeline.services.api import PrefectServer, answers
from pipeline.services.layout import TOKEN, Layout, environment, gpu_count, repository
from pipeline.services.overview import schedules, services
from pipeline.services.processes import Service, read_state


def marked(token: str) -> list[int]:
    """Processes of one start, found without the code under test."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(TOKEN) == token and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.fixture(autouse=True)
def own_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the repository's prefect.toml, which belongs to services that a person may have started."""
    path = tmp_path / "prefect.toml"
    monkeypatch.setattr(stack, "_toml", lambda: path)
    return path


def test_a_service_that_fails_stops_the_others_and_shows_its_log(
    artifact_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[str] = []

    def broken(self: stack._Start) -> list[str]:
        tokens.append(self.token)
        return [sys.executable, "-c", "print('the disk is on fire'); raise SystemExit(3)"]

    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(stack._Start, "_mlflow_command", broken)
    monkeypatch.setattr(stack._Start, "_prefect_command", lambda self: sleeping)
    with pytest.raises(ServiceError, match=r"(?s)service `mlflow` ended.*the disk is on fire"):
        stack.up(artifact_root, lambda line: None, 0, 0)
    assert not marked(tokens[0]) and processes.read_state(Layout(artifact_root)) is None
    assert stack.down(artifact_root, lambda line: None) == 0


def test_nothing_to_stop_is_no_error(artifact_root: Path) -> None:
    assert stack.down(artifact_root, lambda line: None) == 0
    assert services(artifact_root) == [] and schedules(artifact_root) == []


def test_two_starts_at_once_are_refused(artifact_root: Path) -> None:
    with stack._exclusively(Layout(artifact_root)):
        program = (
            "import sys; from pathlib import Path; from pipeline.services import stack; "
            "stack.up(Path(sys.argv[1]), print, 0, 0)"
        )
        path = os.pathsep.join([str(repository() / "src"), str(repository())])
        done = subprocess.run(
            [sys.executable, "-c", program, str(artifact_root)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
    assert done.returncode and "another `engram up`" in done.stderr


def test_the_environment_keeps_telemetry_off_and_loopback_direct(
    artifact_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "example.org")
    values = environment(Layout(artifact_root), 4321, "t")
    assert values["DO_NOT_TRACK"] == "1" and values["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert values["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert values["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    assert values["PREFECT_API_URL"] == "http://127.0.0.1:4321/api"
    assert values["MLFLOW_TRACKING_URI"] == f"sqlite:///{artifact_root}/mlflow/mlflow.db"


def test_a_user_s_own_prefect_toml_stays(own_toml: Path) -> None:
    own_toml.write_text('[api]\nurl = "http://example.org/api"\n')
    said: list[str] = []
    stack._announce_server("http://127.0.0.1:1/api", said.append)
    assert "example.org" in own_toml.read_text() and "export PREFECT_API_URL" in said[0]


@pytest.mark.system
def test_the_services_start_once_run_the_schedule_and_stop_without_a_trace(artifact_root: Path, own_toml: Path) -> None:
    said: list[str] = []
    try:
        state = stack.up(artifact_root, said.append, 0, 0)
        assert [service.name for service in state.services] == ["prefect", "mlflow", "cpu", "cuda", "keeper"]
        assert {row.state for row in services(artifact_root)} == {"healthy"}
        assert stack.up(artifact_root, said.append, 0, 0) == state and "already run" in said[-1]
        prefect, mlflow = state.services[:2]
        assert prefect.port and mlflow.port and answers(f"http://127.0.0.1:{mlflow.port}/health")
        server = PrefectServer(prefect.port)
        assert f"127.0.0.1:{prefect.port}/api" in own_toml.read_text()
        names = {f"{row['flow_name']}/{row['name']}" for row in server.deployments()}
        flows = ("consolidation", "columns", "plasticity", "needle", "sleepwake")
        assert names == {"gpu-stages/cuda"} | {f"{flow}/{name}" for flow in flows for name in deployments(flow)}
        assert schedules(artifact_root) == ["consolidation/nightly at cron `15 4 * * *` Europe/Berlin, active"]
        assert server.call("GET", "/v2/concurrency_limits/gpu%3A0")["limit"] == 1
        (automation,) = server.call("POST", "/automations/filter", {})
        assert automation["name"] == "crash-dead-runs" and automation["enabled"]
        assert _eventually_scheduled(server), "the scheduler planned no nightly run; see .engram/logs/prefect.log"
        os.kill(prefect.pid, signal.SIGKILL)
        assert _eventually_started_again(artifact_root, prefect), "the keeper left the server dead"
        stack.up(artifact_root, said.append, 0, 0)  # the server is starting: it is waited for
        assert {row.state for row in services(artifact_root)} == {"healthy"}
    finally:
        stack.down(artifact_root, said.append)
    assert not marked(state.token) and not own_toml.exists()
    assert ports.is_free(prefect.port) and ports.is_free(mlflow.port)
    assert not Layout(artifact_root).state.exists()
    if not gpu_count():
        assert "runs on the CPU" in (Layout(artifact_root).logs / "cuda.log").read_text()


def _eventually_started_again(root: Path, dead: Service, seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = read_state(Layout(root))
        service = state.find(dead.name) if state else None
        if service is not None and service.pid != dead.pid:
            return True
        time.sleep(0.05)
    return False


def _eventually_scheduled(server: PrefectServer, seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if server.flow_runs(5, ("SCHEDULED",)):
            return True
        time.sleep(1.0)
    return False


def test_the_record_is_plain_json(artifact_root: Path) -> None:
    layout = Layout(artifact_root)
    layout.home.mkdir()
    service = processes.Service("cpu", 1, 2.5, None, "logs/cpu.log")
    processes.write_state(layout, processes.State("t", (service,)))
    assert json.loads(layout.state.read_text())["services"][0]["started"] == 2.5


def test_a_run_whose_worker_died_with_it_is_marked_within_two_minutes() -> None:
    """Heartbeats, as often as `environment` asks for them; two may be late, and the server needs seconds of its own."""
    source = Path(__file__).resolve().parents[2]
    (automation,) = yaml.safe_load((source / "deployments" / "automations.yaml").read_text())["automations"][:1]
    beat = int(environment(Layout(source), 4200, "token")["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
    assert automation["name"] == "crash-dead-runs"
    assert 3 * beat <= automation["trigger"]["within"] <= 120 - beat / 2
