"""The flow ``needle``, small: figures, resume, labels that change nothing, guards, every deployment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.needle import needle, run_inline
from pipeline.artifacts import RunFolder, read_json, read_table, stage_results
from pipeline.config import deployments
from pipeline.errors import ConfigError
from pipeline.needle.controls import ABOUT, CHEAP
from pipeline.needle.course import Course
from pipeline.needle.gate_table import decisions_of, replayed
from pipeline.needle.report.schema import NeedleReport
from pipeline.needle.telemetry import EPOCHS_SCHEMA, SAMPLES_SCHEMA, STEPS_SCHEMA
from pipeline.progress import Quiet
from pipeline.report.base import read_report
from pipeline.stages.night import begin
from pipeline.tracking.store import open_client

TINY = (
    "device=cpu",
    "model.emb_dim=16",
    "model.hid_dim=24",
    "model.mem_dim=64",
    "memory.bucket_count=8",
    "data.train_size=256",
    "data.val_size=100",
    "data.test_size=100",
    "train.epochs=3",
    "train.steps_per_epoch=4",
    "train.probe_every=5",
    "train.batch_size=32",
    "evaluation.peer_steps=2",
    "evaluation.capacity_pairs=[1, 4]",
    "evaluation.capacity_trials=20",
    "tracking.enabled=false",
)
NEEDLES = (
    "data.length=48",
    "data.n_pairs=2",
    "data.num_values=8",
    "data.vocab_extra=16",
    "data.test_lengths=[64]",
    "data.test_pairs=[4]",
    "nce.nce_gate_start_epoch=2",
    "nce.nce_warmup_epochs=0",
    "nce.nce_gate_require_read=false",
    "nce.nce_force_open_epoch=2",
    "nce.nce_gate_read_cos_off=null",
    "nce.nce_lambda_floor=0.001",
    "alarms.tripwire_read=null",
    "alarms.tripwire_write=null",
)


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots are half of a tiny run's time: one test draws them."""
    if request.node.name != "test_a_run_trains_under_the_gate_compares_and_reports":
        monkeypatch.setattr("pipeline.needle.report.write.draw", lambda report, epochs: {})


def night(*overrides: str, target: str = "needle/len256", **options: Any) -> RunFolder:
    settings = [*TINY, *(NEEDLES if target == "needle/len256" else ()), *overrides]
    with begin(target, settings, **options) as begun:
        run_inline(begun, Quiet())
    return begun.run


def trained_files(run: RunFolder) -> dict[str, bytes]:
    folder = stage_results(run)["wake_train"].path
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".parquet", ".safetensors")}


def test_a_run_trains_under_the_gate_compares_and_reports() -> None:
    run = night("tracking.enabled=true")
    told = read_json(run.path / "report.json")
    report = read_report(NeedleReport, run.path)
    assert set(told["accuracy"]["by_length"]) == {"48", "64"} and set(told["accuracy"]["by_load"]) == {"2", "4"}
    assert told["accuracy"]["by_length"]["48"] == told["accuracy"]["test"] == told["accuracy"]["by_load"]["2"]
    assert told["writes"] == "marked" and told["seed"] == 1337 and told["chance"] == 1 / 8
    assert told["gate"] == {"open_fraction": 2 / 3, "lambda_max": pytest.approx(0.001), "opened_epoch": 2}
    assert {"write", "read_clean"} <= told["cosine"].keys() and 0 <= told["collisions"] <= 1
    assert set(told["controls"]) == set(ABOUT) and all(0 <= value <= 1 for value in told["controls"].values())
    shuffled = told["control_details"]["label_shuffle"]
    assert shuffled.pop("seconds") > 0 and shuffled == {"changed_answers": 0.0, "largest_change": 0.0}
    assert told["training"]["steps_to_90"] is None
    assert told["control_details"]["no_infonce"]["steps_to_90"] is None  # there, though it never got there
    assert told["control_details"]["gru"]["steps"] == 2 and told["control_details"]["no_infonce"]["steps"] == 12
    assert list(told["timings"]) == ["persist_store", "wake_train", "evaluate", "promote"]
    assert [guard["name"] for guard in told["guards"]][:3] == ["accuracy", "cosine.write", "cosine.read_clean"]
    assert not report.promoted and report.capacity["1"].read_cosine == pytest.approx(1, abs=1e-3)
    client, tracked = (
        open_client(f"sqlite:///{run.root / 'mlflow' / 'mlflow.db'}"),
        stage_results(run)["report"].metrics["mlflow_run"],
    )
    for name, points in {"train.loss": 12, "train.loss.nce_key": 12, "epoch.val.acc": 3, "epoch.nce_lambda": 3}.items():
        assert len(client.get_metric_history(tracked, name)) == points, name
    plots = {plot.stem for plot in (run.path / "plots").iterdir()}
    assert plots == {"gate", "cosines", "collisions", "accuracy", "capacity", "controls"}
    assert (run.path / "report.html").stat().st_size > 50_000


def test_telemetry_replays_the_gate_and_tells_of_every_step_and_sample() -> None:
    run = night("evaluation.controls=none", "logging.samples=10")
    folder = stage_results(run)["wake_train"].path
    epochs = read_table(folder / "epochs.parquet", EPOCHS_SCHEMA)
    assert replayed(epochs) == decisions_of(epochs) and epochs.num_rows == 3
    assert epochs.column("seen_val_acc").to_pylist() == [None, *epochs.column("val.acc").to_pylist()[:-1]]
    assert {
        "val.read_cos.clean",
        "val.collisions.mean",
        "train.loss.nce_key",
        "train.grad_norm",
        "deq.spectral_norm",
    } <= {*epochs.column_names}
    assert not {"seconds", "val.seconds"} & {*epochs.column_names}
    steps = read_table(folder / "steps.parquet", STEPS_SCHEMA)
    assert steps.column("step").to_pylist() == list(range(12)) and {"loss", "loss.answer"} <= {*steps.column_names}
    probed = [share is not None for share in steps.column("val.probe_acc").to_pylist()]
    assert [step for step, asked in enumerate(probed, 1) if asked] == [5, 10]
    samples = read_table(folder / "samples.parquet", SAMPLES_SCHEMA).to_pylist()
    assert len(samples) == 3 * 10 * (1 + 2) and {row["epoch"] for row in samples} == {1, 2, 3}
    asked = read_table(stage_results(run)["evaluate"].path / "samples.parquet", SAMPLES_SCHEMA).to_pylist()
    reads = [row for row in asked if row["event"] == "read"]
    right = sum(row["target"] == row["pred"] for row in reads) / len(reads)
    assert right == pytest.approx(read_report(NeedleReport, run.path).accuracy.test) and len(reads) == 100


@pytest.mark.parametrize("cut_after", [1, 2])
def test_a_training_that_was_cut_short_goes_on_to_the_same_bytes(
    cut_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ("evaluation.controls=none", "data.val_size=2000")
    plain, epoch, trained = night(*few, run_id="plain"), Course.epoch, list[int]()

    def cut(course: Course, *rest: Any) -> Any:
        if len(trained) == cut_after:
            trained.append(-1)
            raise KeyboardInterrupt
        trained.append(len(course.rows) + 1)
        return epoch(course, *rest)

    monkeypatch.setattr(Course, "epoch", cut)
    with pytest.raises(KeyboardInterrupt):
        night(*few, run_id="cut")
    resumed = night(*few, run_id="cut")
    assert trained == [*range(1, cut_after + 1), -1, *range(cut_after + 1, 4)]
    assert trained_files(resumed) == trained_files(plain) and len(trained_files(plain)) == 4
    for stage in ("wake_train", "evaluate"):
        assert stage_results(resumed)[stage].digest == stage_results(plain)[stage].digest


def test_controls_that_are_finished_are_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = list[str]()

    def counted(name: str, control: Any) -> Any:
        def measure(trained: Any) -> Any:
            ran.append(name)
            if ran.count("zero_read") == 1 and name == "zero_read":
                raise KeyboardInterrupt
            return control(trained)

        return measure

    for name, control in list(CHEAP.items()):
        monkeypatch.setitem(CHEAP, name, counted(name, control))
    with pytest.raises(KeyboardInterrupt):
        night("evaluation.controls=default", run_id="cut")
    assert night("evaluation.controls=default", run_id="cut").state == "done"
    assert ran == ["label_shuffle", "zero_read", *list(CHEAP)[1:]]


def test_test_sequences_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one = night("evaluation.controls=none", "data.test_size=100")
    other = night("evaluation.controls=none", "data.test_size=101")
    weights = [(stage_results(run)["wake_train"].path / "model.safetensors").read_bytes() for run in (one, other)]
    assert weights[0] == weights[1]
    assert read_report(NeedleReport, one.path).guards == read_report(NeedleReport, other.path).guards


def test_a_model_that_passes_its_guards_is_promoted() -> None:
    open_guards = [f"guards.{name}=0" for name in ("accuracy_min", "open_fraction_min")]
    open_guards += ["guards.write_cosine_min=-1", "guards.read_cosine_min=-1", "guards.open_fraction_max=0.7"]
    run = night("evaluation.controls=none", "tracking.enabled=true", "guards.collisions_max=1", *open_guards)
    report = read_report(NeedleReport, run.path)
    assert report.promoted and len(report.guards) == 8 and all(guard.passed for guard in report.guards)


def test_a_sweep_is_trained_over_seeds_beside_the_model() -> None:
    profiles = json.dumps({"closed": {"grid": False, "settings": {"nce.nce_force_open_epoch": None}}, "open": {}})
    sweep = (
        f"sweep.profiles={profiles}",
        "sweep.grid={nce.nce_lambda_max: [0.01, 0.02]}",
        "sweep.seeds=[1, 2]",
        "nce.nce_gate_allow_plateau=false",
        "nce.nce_gate_read_threshold=1.0",
    )
    run = night("evaluation.controls=none", "tracking.enabled=true", *sweep)
    found = read_report(NeedleReport, run.path).sweep
    assert list(found) == ["closed", "open nce_lambda_max=0.01", "open nce_lambda_max=0.02"]
    assert found["closed"]["open_fraction"].mean == 0 < found["open nce_lambda_max=0.01"]["open_fraction"].mean
    assert found["closed"]["accuracy"].n == 2 and found["closed"]["accuracy"].interval is not None
    assert "nce_lambda_max=0.02" in (run.path / "report.md").read_text()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("emma.writes=marked", "data.task=listops holds no marks of writes: set emma.writes=learned"),
        ("sweep.grid={nce.nce_lambda_max: [0.1]}", "name at least one in sweep.profiles"),
        ('sweep.profiles={one: {settings: {"nce.lambda": 1}}}', "no such setting"),
        ('sweep.profiles={one: {settings: {"nce.nce_lambda_max": -1}}}', "greater than or equal to 0"),
        ("nce.nce_lambda_maximum=0.1", "did you mean 'nce.nce_lambda_max'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        night(override, target="needle/listops" if "listops" in message else "needle/len256")


@pytest.mark.parametrize("deployment", deployments("needle"))
def test_every_deployment_runs(deployment: str) -> None:
    few = ("evaluation.controls=default", "train.epochs=2", "train.steps_per_epoch=1", "train.batch_size=4")
    small = ("data.train_size=8", "data.val_size=8", "data.test_size=8", "evaluation.invariance=2")
    sweep = ("sweep.seeds=[1]", "sweep.grid={nce.nce_lambda_max: [0.05], nce.nce_lambda_floor: [0.003]}")
    narrow = ("nce.nce_lambda_increment: [0.01]", "nce.nce_read_target: [0.42]")
    sweep = (*sweep, f"sweep.grid={{{', '.join(narrow)}}}") if deployment == "adaptive-lambda-sweep" else ()
    run = night(*few, *small, *sweep, target=f"needle/{deployment}")
    report = read_report(NeedleReport, run.path)
    assert run.state == "done" and set(report.controls) == set(CHEAP)
    assert report.writes == ("learned" if deployment in ("listops", "mqar", "len256-learned") else "marked")
    if deployment == "listops":
        assert list(map(int, report.accuracy.by_length)) == sorted(map(int, report.accuracy.by_length))
        assert "129" not in report.accuracy.by_length and not report.accuracy.by_load
    assert (report.cosine.write is None) == (deployment == "listops")
    assert len(report.sweep) == (5 if deployment == "adaptive-lambda-sweep" else 0)


def test_a_learned_gate_writes_where_it_opens() -> None:
    run = night("evaluation.controls=default", "emma.writes=learned", "emma.max_writes_per_seq=4")
    report = read_report(NeedleReport, run.path)
    steps = read_table(stage_results(run)["wake_train"].path / "steps.parquet", STEPS_SCHEMA)
    assert report.writes == "learned" and report.written.per_sequence <= 4 and "loss.gate" in steps.column_names
    assert report.control_details["label_shuffle"]["changed_answers"] == 0


def test_other_controls_train_nothing_again() -> None:
    run = night("evaluation.controls=none")
    again = night("evaluation.controls=default", start="evaluate")
    assert stage_results(again)["wake_train"].digest == stage_results(run)["wake_train"].digest
    assert not (again.path / "wake_train" / "checkpoint.safetensors").exists()
    assert set(read_report(NeedleReport, again.path).controls) == set(CHEAP)


@pytest.mark.usefixtures("prefect_server")
def test_prefect_runs_the_same_stages() -> None:
    overrides = [*TINY, *NEEDLES, "evaluation.controls=none"]
    outcome = needle(deployment="len256", overrides=overrides, run_id="prefect", only="persist_store")
    assert outcome["stopped_after"] == "persist_store"
    told = needle(deployment="len256", overrides=overrides, run_id="prefect")
    assert not told["promoted"] and "accuracy" in told["failed_guards"]
    trained = stage_results(RunFolder.at(Path(told["folder"])))["wake_train"]
    assert trained.digest == stage_results(night("evaluation.controls=none"))["wake_train"].digest


def test_splits_lie_in_the_store_and_share_no_sequence() -> None:
    run = night("evaluation.controls=none")
    (generation,) = Path(run.path / "memory" / "default" / "needle").glob("gen-*")
    splits = {path.stem: pq.read_table(path) for path in generation.glob("*.parquet")}
    assert set(splits) == {"train", "val", "test", "test_length_64", "test_pairs_4"}
    seen = [tuple(row) for name in ("train", "val", "test") for row in splits[name].column("tokens").to_pylist()]
    assert len(seen) == len(set(seen)) == 456
