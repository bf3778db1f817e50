"""The wiring through Prefect: the same night as inline, placements, failures of the child run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from prefect.utilities.schema_tools.validation import ValidationError, validate

from flows.columns import columns
from flows.consolidation import consolidation, gpu_stages, run_inline
from flows.needle import needle
from flows.plasticity import plasticity
from flows.sleepwake import sleepwake
from pipeline.artifacts import RunFolder, list_runs, stage_results
from pipeline.config import deployments
from pipeline.errors import ConfigError, ServiceError
from pipeline.progress import Quiet
from pipeline.report.build import load_report
from pipeline.stages.night import begin
from pipeline.stages.registry import stages_of
from tasks.placement import occupied
from tests.evaluation.examples import scripted
from tests.stages.examples import ignorant
from tests.stages.nights import SMALL, ScriptedNight

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = [*SMALL, "tracking.enabled=false"]

pytestmark = pytest.mark.filterwarnings("ignore")  # Prefect's own dependencies warn

STAGES = stages_of("consolidation").names


@pytest.mark.usefixtures("prefect_server")
def test_a_flow_run_is_the_same_night_as_an_inline_one(
    scripted_night: ScriptedNight, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    away = (tmp_path / "file" / "mirror").as_uri()  # which cannot be
    outcome = consolidation(deployment="episodic", overrides=[*SETTINGS, f"mirror.url={away}"])
    run = RunFolder.at(Path(outcome["folder"]))
    assert f"not pushed to {away}: " in caplog.text
    assert run.state == "done" and outcome["run_id"] == run.run_id and not outcome["promoted"]
    inline = scripted_night.run("tracking.enabled=false")
    through, plain = stage_results(run), stage_results(inline)
    assert {name: through[name].digest for name in STAGES[:6]} == {name: plain[name].digest for name in STAGES[:6]}
    assert load_report(run.path).arms == load_report(inline.path).arms


@pytest.mark.usefixtures("prefect_server")
def test_the_gpu_stages_run_on_the_other_worker(scripted_night: ScriptedNight, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def run_deployment(name: str, parameters: dict[str, Any], **options: Any) -> Any:
        asked.update(options, name=name, parameters=parameters)
        monkeypatch.setenv("ENGRAM_WORKER", "cuda")
        gpu_stages(parameters["run"], parameters["earlier"])
        monkeypatch.setenv("ENGRAM_WORKER", "cpu")
        return child_that_ended("Completed")

    monkeypatch.setattr("prefect.deployments.run_deployment", run_deployment)
    monkeypatch.setenv("ENGRAM_WORKER", "cpu")
    outcome = consolidation(deployment="episodic", placement="workers", overrides=SETTINGS)
    workers = load_report(Path(outcome["folder"])).workers
    assert workers == dict.fromkeys(STAGES, "cpu") | dict.fromkeys(("sleep_distil", "lora_train", "evaluate"), "cuda")
    assert asked["name"] == "gpu-stages/cuda" and set(asked["parameters"]) == {"run", "earlier", "only"}
    assert asked["idempotency_key"].startswith(outcome["run_id"]) and asked["idempotency_key"].endswith("/1/1")


def child_that_ended(name: str) -> Any:
    state = SimpleNamespace(
        is_completed=lambda: name == "Completed",
        is_crashed=lambda: name == "Crashed",
        name=name,
        message="the process was killed",
    )
    return SimpleNamespace(state=state, name="child", id=1)


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(("end", "attempts"), [("Failed", 1), ("Crashed", 3)])
def test_a_child_that_does_not_complete_fails_the_night(
    scripted_night: ScriptedNight, monkeypatch: pytest.MonkeyPatch, artifact_root: Path, end: str, attempts: int
) -> None:
    keys: list[str] = []

    def run_deployment(name: str, idempotency_key: str, **options: Any) -> Any:
        keys.append(idempotency_key)
        return child_that_ended(end)

    monkeypatch.setattr("prefect.deployments.run_deployment", run_deployment)
    with pytest.raises(ServiceError, match=f"{end}: the process was killed"):
        consolidation(deployment="episodic", placement="workers", overrides=SETTINGS)
    assert len(set(keys)) == len(keys) == attempts
    (run,) = list_runs(artifact_root)
    assert run.state == "failed" and set(stage_results(run)) == set(STAGES[:3])


@pytest.mark.usefixtures("prefect_server")
def test_a_night_that_a_guard_stops_ends_as_rejected(scripted_night: ScriptedNight) -> None:
    scripted_night.answer_with(ignorant)
    rejected = consolidation(deployment="episodic", overrides=list(SMALL), return_state=True)
    assert rejected.is_completed() and rejected.name == "Rejected"
    assert "uplift" in str(rejected.message) and "champion stays" in str(rejected.message)
    scripted_night.answer_with(scripted)
    promoted = consolidation(deployment="episodic", overrides=list(SMALL), return_state=True)
    assert promoted.is_completed() and promoted.name == "Completed"


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("only", ["replay_sample", "lora_train", "promote"])
def test_one_stage_alone_and_then_the_rest(scripted_night: ScriptedNight, only: str) -> None:
    scripted_night.run("tracking.enabled=false")
    told = consolidation(deployment="episodic", overrides=SETTINGS, only=only)
    run = RunFolder.at(Path(told["folder"]))
    assert told["stopped_after"] == only and run.state == "failed"
    results = stage_results(run)
    assert set(results) == set(STAGES[: STAGES.index(only) + 1])
    outcome = consolidation(deployment="episodic", overrides=SETTINGS)
    assert outcome["run_id"] == told["run_id"] and run.state == "done"
    assert stage_results(run)[only].digest == results[only].digest


def test_one_stage_alone_needs_the_earlier_ones(scripted_night: ScriptedNight) -> None:
    with (
        pytest.raises(ConfigError, match="lora_train alone needs teach"),
        begin("consolidation/episodic", SETTINGS, only="lora_train") as night,
    ):
        run_inline(night, Quiet(), "lora_train")


def test_a_worker_holds_the_limit_of_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[Any] = []

    @contextmanager
    def concurrency(name: str, **options: Any) -> Iterator[None]:
        held.append((name, options["strict"]))
        yield

    monkeypatch.setattr("prefect.concurrency.sync.concurrency", concurrency)
    with occupied():
        assert not held
    monkeypatch.setenv("ENGRAM_SLOT", "gpu:3")
    with occupied():
        assert held == [("gpu:3", True)]


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    "bad", [{"overrides": ["suite.m=8"]}, {"from_stage": "dream"}, {"deployment": "x"}, {"run_id": "../x"}]
)
def test_the_schema_refuses_before_a_run_is_created(bad: dict[str, Any]) -> None:
    for flow in (consolidation, columns, plasticity, needle, sleepwake):
        schema = flow.parameters.model_dump()
        validate({"overrides": ["seed=1"], "from_stage": None}, schema, raise_on_error=True)
        with pytest.raises(ValidationError):
            validate(bad, schema, raise_on_error=True)


def test_every_deployment_has_a_configuration_and_a_flow() -> None:
    told = yaml.safe_load((REPOSITORY / "deployments" / "prefect.yaml").read_text())
    named = {entry["name"]: entry for entry in told["deployments"]}
    flows = {
        "consolidation": consolidation,
        "columns": columns,
        "plasticity": plasticity,
        "needle": needle,
        "sleepwake": sleepwake,
    }
    files = {name: file for file in flows for name in deployments(file)}
    assert set(files) == set(named) - {"cuda"}
    for name, entry in named.items():
        file = files.get(name, "consolidation")
        flow = gpu_stages if name == "cuda" else flows[file]
        assert entry["entrypoint"] == f"flows/{file}.py:{flow.fn.__name__}"
        assert entry["work_pool"]["name"] == ("cuda" if name in ("cuda", "30m", "components") else "cpu")
        assert set(entry.get("parameters", {})) <= set(flow.parameters.properties)
    assert named["nightly"]["schedules"][0]["cron"] == "15 4 * * *"
    assert named["nightly"]["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
