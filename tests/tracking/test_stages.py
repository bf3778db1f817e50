"""Stages of a night in a real MLflow on SQLite: nested, timed, resumed, failed, abandoned."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.artifacts import FileLock, StageResult
from pipeline.config import ConsolidationConfig, TrackingConfig
from pipeline.errors import ArtifactError, DataError, ServiceError
from pipeline.tracking import initialise, open_tracker, tracking_uri
from pipeline.tracking.stages import TrackedStage, tracked_stage
from pipeline.tracking.store import open_client

TAUGHT = StageResult("teach", Path("teach"), "ab" * 32, {"gates": {"accepts": 3}}, False, 2.5, "cpu", 4096)
STORED = StageResult("persist_store", Path("persist_store"), "cd" * 32, {"rows": 3}, False, 1.5, "cpu", 8192)
SETTINGS = {"suite": {"n": 8}}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ConsolidationConfig:
    root = tmp_path_factory.mktemp("root")
    config = ConsolidationConfig(root=root)
    initialise(config.tracking, root)
    return config


def night_folder(config: ConsolidationConfig, name: str) -> Path:
    folder = config.root / "runs" / "consolidation" / "episodic" / name
    folder.mkdir(parents=True)
    return folder


def teach(config: ConsolidationConfig, folder: Path, result: StageResult = TAUGHT) -> TrackedStage:
    with tracked_stage(config, folder, "teach", {}, SETTINGS) as tracked:
        tracked.done(result)
    return tracked


def test_a_stage_is_a_run_below_its_night(config: ConsolidationConfig) -> None:
    folder = night_folder(config, "night-1")
    first = teach(config, folder)
    with tracked_stage(config, folder, "persist_store", {"teach": TAUGHT}, SETTINGS) as second:
        second.done(STORED)
    client = open_client(tracking_uri(config.tracking, config.root))
    night, stage = client.get_run(first.night_id), client.get_run(second.run_id)
    assert first.night_id == second.night_id
    assert night.info.run_name == "episodic night-1" and night.info.status == "RUNNING"
    assert {
        "engram.kind": "night",
        "engram.seed": "1337",
        "engram.deployment": "episodic",
    }.items() <= night.data.tags.items()
    assert night.data.params["suite.n"] == "50"  # the whole configuration is there from the first stage on
    assert stage.data.tags["mlflow.parentRunId"] == first.night_id and stage.info.status == "FINISHED"
    assert (stage.data.tags["engram.worker"], stage.data.tags["engram.digest"]) == ("cpu", "cd" * 32)
    figures = {"seconds": 1.5, "peak_memory_bytes": 8192.0, "persist_store.rows": 3.0}
    assert figures.items() <= stage.data.metrics.items()
    assert stage.data.metrics["system/system_memory_usage_megabytes"] > 0  # one sample, however short
    assert stage.data.params == {"suite.n": "8"}
    assert [(i.dataset.name, i.dataset.digest) for i in stage.inputs.dataset_inputs] == [("teach", ("ab" * 32)[:36])]


def test_a_reused_stage_keeps_its_run_and_its_times(config: ConsolidationConfig) -> None:
    folder = night_folder(config, "night-2")
    client = open_client(tracking_uri(config.tracking, config.root))
    first = teach(config, folder)
    again = teach(config, folder, StageResult(**{**vars(TAUGHT), "cached": True, "seconds": 99.0}))
    assert again.run_id == first.run_id
    assert client.get_run(first.run_id).data.metrics["seconds"] == 2.5
    anew = teach(config, folder, StageResult(**{**vars(TAUGHT), "seconds": 7.0}))
    assert client.get_run(anew.run_id).data.metrics["seconds"] == 7.0


def test_a_failed_stage_fails_its_night_and_a_resumed_one_runs_on(config: ConsolidationConfig) -> None:
    folder = night_folder(config, "night-3")
    client = open_client(tracking_uri(config.tracking, config.root))
    teach(config, folder)
    with (
        pytest.raises(ArtifactError, match="secret text"),
        tracked_stage(config, folder, "persist_store", {"teach": TAUGHT}, SETTINGS) as broken,
    ):
        raise ArtifactError("secret text of a user")
    assert [client.get_run(run).info.status for run in (broken.run_id, broken.night_id)] == ["FAILED", "FAILED"]
    assert "secret" not in str(client.get_run(broken.run_id).data.tags)
    with tracked_stage(config, folder, "persist_store", {"teach": TAUGHT}, SETTINGS) as resumed:
        assert client.get_run(resumed.night_id).info.status == "RUNNING"
        resumed.done(STORED)
    assert resumed.run_id == broken.run_id
    assert client.get_run(resumed.run_id).info.status == "FINISHED"
    with pytest.raises(KeyboardInterrupt), tracked_stage(config, folder, "evaluate", {"teach": TAUGHT}, {}) as stopped:
        raise KeyboardInterrupt
    assert client.get_run(stopped.run_id).info.status == "KILLED"


def test_bad_input_before_anything_was_finished_leaves_no_run(config: ConsolidationConfig) -> None:
    folder = night_folder(config, "night-4")
    client = open_client(tracking_uri(config.tracking, config.root))
    with pytest.raises(DataError), tracked_stage(config, folder, "teach", {}, SETTINGS) as tracked:
        raise DataError("line 3")
    for run_id in (tracked.night_id, tracked.run_id):
        info = client.get_run(run_id).info
        assert (info.lifecycle_stage, info.status) == ("deleted", "FAILED")
    assert teach(config, folder).night_id != tracked.night_id


def test_a_night_that_was_killed_does_not_stay_running(config: ConsolidationConfig) -> None:
    client = open_client(tracking_uri(config.tracking, config.root))
    killed, alive = night_folder(config, "killed"), night_folder(config, "alive")
    nights = {folder: open_tracker(config, folder).run_id for folder in (killed, alive)}
    gone = open_tracker(config, config.root / "runs" / "consolidation" / "nightly" / "no-folder").run_id
    lock = FileLock(alive / ".lock")
    assert lock.acquire()
    teach(config, night_folder(config, "next"))
    lock.release()
    assert client.get_run(nights[killed]).info.status == "KILLED"
    assert client.get_run(nights[alive]).info.status == "RUNNING"
    assert client.get_run(gone).info.status == "KILLED"


def test_a_shared_server_knows_nights_of_other_machines(config: ConsolidationConfig) -> None:
    uri = tracking_uri(config.tracking, config.root)
    shared = config.model_copy(update={"tracking": TrackingConfig(uri=uri)})
    elsewhere = open_tracker(shared, config.root / "runs" / "on-another-machine").run_id
    teach(shared, night_folder(config, "another"))
    assert open_client(uri).get_run(elsewhere).info.status == "RUNNING"


def test_only_the_first_stage_insists_on_mlflow(tmp_path: Path) -> None:
    lost = ConsolidationConfig(root=tmp_path, tracking=TrackingConfig(uri=f"file:{tmp_path}/mlruns"))
    with pytest.raises(ServiceError, match="MLflow at"), tracked_stage(lost, tmp_path / "x", "teach", {}, {}):
        raise AssertionError("the stage must not begin")
    with tracked_stage(lost, tmp_path / "x", "persist_store", {"teach": TAUGHT}, {}) as tracked:
        tracked.done(STORED)
    assert tracked.run_id is None


def test_fine_figures_go_to_the_run_of_evaluate(config: ConsolidationConfig) -> None:
    folder = night_folder(config, "night-5")
    figures = {"seed": 7, "arms": {"post_off": {"em": 0.5, "by_form": {"a/test-1": {"em": 1.0}}}}, "takeover": 0.0}
    night = open_tracker(config, folder)
    with tracked_stage(config, folder, "evaluate", {"teach": TAUGHT}, {}) as tracked:
        tracked.done(StageResult(**{**vars(STORED), "stage": "evaluate", "metrics": {}}))
    night.log_report(figures)
    client = open_client(tracking_uri(config.tracking, config.root))
    assert client.get_run(night.run_id).data.metrics == {"arms.post_off.em": 0.5, "takeover": 0.0, "seed": 7}
    assert client.get_run(tracked.run_id).data.metrics["arms.post_off.by_form.a/test-1.em"] == 1.0


def test_a_night_that_was_killed_after_its_last_stage_ends(config: ConsolidationConfig) -> None:
    folder = night_folder(config, "night-6")
    night = open_tracker(config, folder)
    with tracked_stage(config, folder, "report", {"teach": TAUGHT}, {}) as tracked:
        tracked.done(StageResult(**{**vars(STORED), "stage": "report", "cached": True}))
    client = open_client(tracking_uri(config.tracking, config.root))
    assert client.get_run(night.run_id).info.status == "FINISHED"
