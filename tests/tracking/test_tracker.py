"""A night in a real MLflow on SQLite: logged, killed, resumed, registered, promoted."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.artifacts import FileLock
from pipeline.config import ConsolidationConfig, TrackingConfig
from pipeline.errors import ArtifactError, ServiceError
from pipeline.tracking import MlflowTracker, NoTracker, Tracker, champion, initialise, open_tracker, store, tracking_uri
from pipeline.tracking.registry import champion_slow, move_champion
from pipeline.tracking.store import open_client, quietly

ADAPTER = "consolidation-episodic"


def steps(first: int, last: int) -> pa.Table:
    rows = [{"step": i, "loss": 1.0 / i, "probe_accuracy": float("nan"), "name": "x"} for i in range(first, last + 1)]
    return pa.Table.from_pylist(rows)


def write_adapter(root: Path, night: str, content: bytes) -> Path:
    folder = root / "runs" / night / "lora_train" / "adapter"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ConsolidationConfig:
    """A root whose first database was left behind half-made by a killed process."""
    root = tmp_path_factory.mktemp("root")
    orphan = root / "mlflow" / ".mlflow.db.0123abcd.tmp"
    orphan.parent.mkdir()
    orphan.write_bytes(b"half a database")
    config = ConsolidationConfig(root=root)
    initialise(config.tracking, root)
    initialise(TrackingConfig(enabled=False), root / "nowhere")
    assert not (root / "nowhere").exists()
    assert not orphan.exists()
    return config


def test_a_night_is_one_run_even_when_it_was_killed(config: ConsolidationConfig, capfd: pytest.CaptureFixture) -> None:
    root, folder = config.root, config.root / "runs" / "consolidation" / "episodic" / "night-1"
    (root / "report.md").write_text("# done")
    (root / "plots").mkdir()
    (root / "plots" / "loss.png").write_bytes(b"png")

    def log(tracker: Tracker, last: int) -> None:
        tracker.log_params({"suite": {"n": 8}, "seed": 1337})
        tracker.log_steps(steps(1, last))
        tracker.log_metrics({"arms": {"pre_off": {"em": 0.25}}})
        tracker.log_inputs({"replay/replay.parquet": "ab" * 32}, "replay")
        tracker.log_artifacts([root / "report.md", root / "plots"])

    first = open_tracker(config, folder)
    log(first, 3)
    resumed = open_tracker(config, folder)  # as a new process would after kill -9
    log(resumed, 5)
    resumed.set_tags({"engram.state": "done"})
    resumed.finish("FINISHED")

    assert isinstance(resumed, MlflowTracker)
    assert resumed.run_id == first.run_id
    client = open_client(tracking_uri(config.tracking, root))
    run = client.get_run(first.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"suite.n": "8", "seed": "1337"}
    assert run.data.tags["sha256.replay/replay.parquet"] == "ab" * 32
    assert run.data.tags["engram.state"] == "done"
    history = client.get_metric_history(first.run_id, "train.loss")
    assert [(p.step, p.value) for p in sorted(history, key=lambda p: p.step)] == [(i, 1.0 / i) for i in range(1, 6)]
    assert len(client.get_metric_history(first.run_id, "arms.pre_off.em")) == 1
    assert [i.dataset.name for i in run.inputs.dataset_inputs] == ["replay/replay.parquet"]
    assert {f.path for f in client.list_artifacts(first.run_id)} == {"report.md", "plots"}
    assert [path.name for path in (root / "mlflow").glob("*.db")] == ["mlflow.db"]
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert open_tracker(config, folder.with_name("night-2")).run_id != first.run_id


def test_champion_moves_only_when_promoted(config: ConsolidationConfig) -> None:
    root = config.root
    assert champion(config.tracking, root, ADAPTER) is None
    tracker = open_tracker(config, root / "runs" / "a")
    first = write_adapter(root, "a", b"one")
    version = tracker.register_adapter(first, ADAPTER)
    assert tracker.register_adapter(first, ADAPTER) == version  # resumed after a crash
    assert tracker.champion(ADAPTER) is None
    assert tracker.promote(ADAPTER, version)
    assert champion(config.tracking, root, ADAPTER) == first

    second = open_tracker(config, root / "runs" / "b")
    rejected = second.register_adapter(write_adapter(root, "b", b"two"), ADAPTER)
    assert rejected == version + 1
    assert second.champion_version(ADAPTER) == version  # a failed night leaves the champion as it was
    client = open_client(tracking_uri(config.tracking, root))
    assert int(client.get_model_version_by_alias(ADAPTER, "challenger").version) == rejected

    (first / "adapter_model.safetensors").write_bytes(b"one, damaged")
    with pytest.raises(ArtifactError, match="differs from version 1"):
        champion(config.tracking, root, ADAPTER)
    (first / "adapter_model.safetensors").unlink()
    first.rmdir()
    copy = champion(config.tracking, root, ADAPTER)  # the run was deleted; the registry's copy serves
    assert copy is not None
    assert (copy / "adapter_model.safetensors").read_bytes() == b"one"


def test_the_slow_average_is_registered_beside_its_adapter(config: ConsolidationConfig) -> None:
    root, name = config.root, "slow-and-fast"
    client = open_client(tracking_uri(config.tracking, root))

    def night(label: str, slow: bytes | None) -> Path:
        tracker = open_tracker(config, root / "runs" / label)
        adapter = write_adapter(root, label, label.encode())
        folder = None if slow is None else adapter.parent / "slow"
        if folder is not None and slow is not None:
            folder.mkdir()
            (folder / "adapter_model.safetensors").write_bytes(slow)
        tracker.promote(name, tracker.register_adapter(adapter, name, folder))
        return adapter.parent / "slow"

    assert champion_slow(client, root, name) is None
    night("without", None)
    assert champion_slow(client, root, name) is None
    slow = night("with", b"mean")
    assert champion_slow(client, root, name) == slow
    (slow / "adapter_model.safetensors").write_bytes(b"another")
    copy = champion_slow(client, root, name)  # the registry's own serves
    assert copy is not None and copy != slow and (copy / "adapter_model.safetensors").read_bytes() == b"mean"
    (copy / "adapter_model.safetensors").unlink()
    with pytest.raises(ArtifactError, match="slow average is missing or differs"):
        champion_slow(client, root, name)
    move_champion(client, name, 1)  # back to the night before
    assert champion_slow(client, root, name) is None


def test_without_tracking_nothing_is_written(tmp_path: Path) -> None:
    root = tmp_path / "root"
    config = ConsolidationConfig(root=root, tracking=TrackingConfig(enabled=False))
    tracker = open_tracker(config, root / "runs" / "x")
    assert isinstance(tracker, NoTracker)
    tracker.log_params({"a": 1})
    tracker.log_metrics({"a": 1.0})
    tracker.log_steps(steps(1, 2))
    tracker.log_inputs({"a": "b"}, "c")
    tracker.log_artifacts([tmp_path / "missing"])
    tracker.set_tags({"a": "b"})
    assert tracker.promote(ADAPTER, tracker.register_adapter(tmp_path, ADAPTER)) is False
    assert (tracker.champion(ADAPTER), tracker.champion_version(ADAPTER), tracker.run_id) == (None, None, None)
    tracker.finish("FAILED")
    assert champion(config.tracking, root, ADAPTER) is None
    assert not root.exists()


def test_uri_is_absolute_whatever_the_working_directory(tmp_path: Path) -> None:
    assert tracking_uri(TrackingConfig(), tmp_path) == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    assert tracking_uri(TrackingConfig(uri="sqlite:///own.db"), tmp_path) == f"sqlite:///{tmp_path}/own.db"
    assert tracking_uri(TrackingConfig(uri="sqlite:////var/own.db"), tmp_path) == "sqlite:////var/own.db"
    assert tracking_uri(TrackingConfig(uri="http://127.0.0.1:5000"), tmp_path) == "http://127.0.0.1:5000"


def test_a_store_that_cannot_be_opened_is_one_clear_error(tmp_path: Path) -> None:
    config = ConsolidationConfig(root=tmp_path, tracking=TrackingConfig(uri=f"file:{tmp_path}/mlruns"))
    with pytest.raises(ServiceError, match=r"MLflow at file:.*tracking\.enabled=false"):
        open_tracker(config, tmp_path / "runs" / "x")


def test_postgres_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(ServiceError, match=r"postgresql://db/mlflow: .*psycopg2.*'\.\[postgres\]'"):
        open_client("postgresql://db/mlflow")


def test_one_process_creates_the_database_and_the_others_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = FileLock(tmp_path / ".own.db.lock")
    assert lock.acquire()
    monkeypatch.setattr(store, "_INIT_SECONDS", 0.2)
    with pytest.raises(ServiceError, match=f"process {os.getpid()} has been creating"):
        open_client(f"sqlite:///{tmp_path}/own.db")
    lock.release()
    assert not (tmp_path / "own.db").exists()


def test_loggers_get_their_level_back() -> None:
    logger = logging.getLogger("alembic")
    before = logger.level
    with quietly("sqlite:///x"):
        assert logger.level == logging.CRITICAL
    assert logger.level == before


def test_a_full_disk_is_one_error_that_names_the_database() -> None:
    from sqlalchemy.exc import OperationalError

    refused = pytest.raises(ArtifactError, match=r"^/root/mlflow\.db: cannot write: No space left on device")
    with refused, quietly("sqlite:////root/mlflow.db"):
        raise OperationalError("INSERT", None, Exception("database or disk is full"))
