"""The wiring through Prefect: the same night as inline, placements, failures of the child run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from flows.columns import columns
from flows.consolidation import consolidation, gpu_stages
from pipeline.artifacts import RunFolder, list_runs, stage_results
from pipeline.config import deployments
from pipeline.errors import ServiceError
from pipeline.report.build import load_report
from pipeline.stages.registry import stages_of
from tests.stages.nights import SMALL, ScriptedNight

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = [*SMALL, "tracking.enabled=false"]

pytestmark = pytest.mark.filterwarnings("ignore")  # Prefect's own dependencies warn

STAGES = stages_of("consolidation").names


@pytest.mark.usefixtures("prefect_server")
def test_a_flow_run_is_the_same_night_as_an_inline_one(scripted_night: ScriptedNight) -> None:
    outcome = consolidation(deployment="episodic", overrides=SETTINGS)
    run = RunFolder.at(Path(outcome["folder"]))
    assert run.state == "done" and outcome["run_id"] == run.run_id and not outcome["promoted"]
    inline = scripted_night.run("tracking.enabled=false")
    through, plain = stage_results(run), stage_results(inline)
    assert {name: through[name].digest for name in STAGES[:6]} == {name: plain[name].digest for name in STAGES[:6]}
    assert load_report(run.path).arms == load_report(inline.path).arms


@pytest.mark.usefixtures("prefect_server")
def test_the_gpu_stages_run_on_the_other_worker(scripted_night: ScriptedNight, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def run_deployment(name: str, parameters: dict[str, Any], **options: Any) -> Any:
        asked.update(options, name=name, slot=parameters["slot"])
        monkeypatch.setenv("ENGRAM_WORKER", "cuda")
        gpu_stages(parameters["run"], parameters["earlier"])
        monkeypatch.setenv("ENGRAM_WORKER", "cpu")
        return SimpleNamespace(state=SimpleNamespace(is_completed=lambda: True), name="child", id=1)

    monkeypatch.setattr("prefect.deployments.run_deployment", run_deployment)
    monkeypatch.setenv("ENGRAM_WORKER", "cpu")
    outcome = consolidation(deployment="episodic", placement="workers", overrides=SETTINGS)
    workers = load_report(Path(outcome["folder"])).workers
    assert workers == dict.fromkeys(STAGES, "cpu") | dict.fromkeys(("sleep_distil", "lora_train", "evaluate"), "cuda")
    assert asked["name"] == "gpu-stages/cuda" and asked["slot"] == "gpu:0"
    assert asked["idempotency_key"].startswith(outcome["run_id"]) and asked["idempotency_key"].endswith("/1")


@pytest.mark.usefixtures("prefect_server")
def test_a_child_that_does_not_complete_fails_the_night(
    scripted_night: ScriptedNight, monkeypatch: pytest.MonkeyPatch, artifact_root: Path
) -> None:
    state = SimpleNamespace(is_completed=lambda: False, name="Crashed", message="the process was killed")
    child = SimpleNamespace(state=state, name="child", id=1)
    monkeypatch.setattr("prefect.deployments.run_deployment", lambda *_, **__: child)
    with pytest.raises(ServiceError, match="Crashed: the process was killed"):
        consolidation(deployment="episodic", placement="workers", overrides=SETTINGS)
    (run,) = list_runs(artifact_root)
    assert run.state == "failed" and set(stage_results(run)) == set(STAGES[:3])


def test_every_deployment_has_a_configuration_and_a_flow() -> None:
    told = yaml.safe_load((REPOSITORY / "deployments" / "prefect.yaml").read_text())
    named = {entry["name"]: entry for entry in told["deployments"]}
    assert {*deployments("consolidation"), *deployments("columns")} == set(named) - {"cuda"}
    for name, entry in named.items():
        flow = gpu_stages if name == "cuda" else columns if name in deployments("columns") else consolidation
        file = "columns" if flow is columns else "consolidation"
        assert entry["entrypoint"] == f"flows/{file}.py:{flow.fn.__name__}"
        assert entry["work_pool"]["name"] == ("cuda" if name == "cuda" else "cpu")
        assert set(entry.get("parameters", {})) <= set(flow.parameters.properties)
    assert named["nightly"]["schedules"][0]["cron"] == "15 4 * * *"
    assert named["nightly"]["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
