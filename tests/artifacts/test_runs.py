"""Run folders: which run a command takes up, and who may."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.artifacts import RunFolder, find_run, list_runs, open_run, resumable, write_json
from pipeline.artifacts.sealed import write_sealed
from pipeline.config import FlowConfig, config_hash, load_config
from pipeline.errors import ArtifactError, ConfigError, DataError, EngramError, StoreError

HOLDER = """
import sys, time
from pipeline.artifacts import open_run
from pipeline.config import load_config
with open_run(load_config("consolidation/episodic"), run_id="held") as run:
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def config() -> FlowConfig:
    return load_config("consolidation/episodic")


def test_a_run_records_what_it_is(config: FlowConfig, artifact_root: Path) -> None:
    with open_run(config) as run:
        assert run.state == "running"
        assert re.fullmatch(r"\d{8}-\d{4}-[0-9a-f]{6}", run.run_id)
        assert run.path == artifact_root / "runs" / "consolidation" / "episodic" / run.run_id
        assert run.root == artifact_root and run.config() == config and run.config_hash == config_hash(config)
    manifest = run.manifest()
    assert (manifest["state"], manifest["run_id"], manifest["seed"]) == ("done", run.run_id, 1337)
    assert manifest["started"] <= manifest["finished"]


def test_a_finished_run_is_never_reused(config: FlowConfig) -> None:
    with open_run(config, run_id="one"):
        pass
    with open_run(config) as second:
        assert second.run_id != "one"
    with pytest.raises(ConfigError, match="run one is finished and never reused"):
        open_run(config, run_id="one")


@pytest.mark.parametrize("error", [ValueError("boom"), KeyboardInterrupt()])
def test_a_failed_run_is_resumed(config: FlowConfig, error: BaseException) -> None:
    with pytest.raises(type(error)), open_run(config) as first:
        raise error
    assert first.state == "failed"
    assert first.manifest()["error"] == (str(error) or "KeyboardInterrupt")
    with open_run(config) as again:
        assert again.path == first.path
        assert (again.state, again.manifest()["resumed"], again.manifest()["error"]) == ("running", 1, None)
    assert again.state == "done"


@pytest.mark.parametrize("kind", [ConfigError, DataError, StoreError])
def test_bad_input_leaves_no_run_unless_a_stage_was_finished(config: FlowConfig, kind: type[EngramError]) -> None:
    with pytest.raises(kind), open_run(config) as refused:
        raise kind("bad")
    assert not refused.path.exists() and list_runs(config.root) == []
    with pytest.raises(kind), open_run(config) as begun:
        write_json(begun.path / "teach" / "manifest.json", {})
        raise kind("bad")
    assert begun.state == "failed"


def test_the_newest_unfinished_run_of_the_same_configuration_is_taken_up(config: FlowConfig) -> None:
    other = load_config("consolidation/episodic", ["suite.n=8"])
    for name, started in (("a", "2026-01-01"), ("b", "2026-01-03"), ("c", "2026-01-02")):
        run = open_run(config, run_id=name)
        write_json(run.path / "manifest.json", run.manifest() | {"started": started})
        run.release()
    open_run(other, run_id="z").release()
    found = resumable(config)
    assert found is not None and found.run_id == "b"
    with open_run(config) as run:
        assert run.run_id == "b"
    assert [run.run_id for run in list_runs(config.root)][1:] == ["b", "c", "a"]
    assert resumable(load_config("consolidation/episodic", ["suite.n=9"])) is None


def test_placement_and_root_do_not_matter_to_resume(config: FlowConfig, tmp_path: Path) -> None:
    open_run(config, run_id="one").release()
    workers = load_config("consolidation/episodic", ["placement=workers"])
    with open_run(workers) as run:
        assert run.run_id == "one" and run.config().placement == "workers"


def test_another_configuration_under_the_same_id_is_refused_and_says_what_differs(config: FlowConfig) -> None:
    open_run(config, run_id="one").release()
    with pytest.raises(ConfigError, match=r"another configuration \(suite\.n: 50 → 8\)"):
        open_run(load_config("consolidation/episodic", ["suite.n=8"]), run_id="one")
    open_run(config, run_id="one").release()  # the refused attempt gave the lock back


@pytest.mark.parametrize("run_id", ["../x", "a/b", ""])
def test_a_bad_run_id_is_refused_before_anything_is_written(config: FlowConfig, run_id: str) -> None:
    with pytest.raises(ConfigError, match="run id"):
        open_run(config, run_id=run_id)
    assert not (config.root / "runs").exists()


def test_a_run_is_not_taken_twice_and_a_dead_holder_does_not_block(config: FlowConfig) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        for run_id in ("held", None):
            with pytest.raises(ConfigError, match=f"run held is in use by process {holder.pid}"):
                open_run(config, run_id=run_id)
        assert RunFolder.at(config.root / "runs/consolidation/episodic/held").state == "running"
        holder.send_signal(signal.SIGKILL)
    with open_run(config) as run:
        assert run.run_id == "held"
        assert (run.path / ".lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_file_of_a_dead_process_does_not_block(config: FlowConfig) -> None:
    folder = config.root / "runs/consolidation/episodic/one"
    folder.mkdir(parents=True)
    (folder / ".lock").write_text("999999999\n")
    open_run(config, run_id="one").release()


def test_opening_sweeps_what_a_killed_writer_left(config: FlowConfig) -> None:
    run = open_run(config, run_id="one")
    run.release()
    orphan = run.stage_folder("teach") / ".rows.parquet.0123abcd.tmp"
    orphan.parent.mkdir()
    orphan.write_text("torn")
    open_run(config, run_id="one").release()
    assert not orphan.exists()


def test_a_copied_run_still_opens(config: FlowConfig, tmp_path: Path) -> None:
    with open_run(config, run_id="one") as run:
        pass
    shutil.move(run.path, tmp_path / "copy")
    copy = RunFolder.at(tmp_path / "copy")
    assert copy.manifest()["run_id"] == "one" and copy.config().root == tmp_path / "copy"
    shutil.rmtree(config.root / "runs")
    assert find_run(str(tmp_path / "copy"), config.root).path == copy.path


def test_runs_are_found_by_id_by_name_and_by_deployment(config: FlowConfig) -> None:
    root = config.root
    facts = load_config("consolidation/facts")
    for some, run_id in ((config, "one"), (config, "two"), (facts, "two")):
        with open_run(some, run_id=run_id):
            pass
    assert find_run("one", root).run_id == "one"
    assert find_run("consolidation/facts/two", root).manifest()["deployment"] == "facts"
    assert find_run("consolidation/episodic", root).run_id == "two"
    with pytest.raises(ArtifactError, match="run 'two' is ambiguous: "):
        find_run("two", root)
    with pytest.raises(ArtifactError, match=r"no run 'three' in .*; newest: consolidation/facts/two"):
        find_run("three", root)


def test_no_run_and_a_foreign_manifest_are_artifact_errors(tmp_path: Path, config: FlowConfig) -> None:
    with pytest.raises(ArtifactError, match="no run here"):
        RunFolder.at(tmp_path)
    run = open_run(config, run_id="one")
    run.release()
    write_sealed(run.path / "manifest.json", run.manifest() | {"schema_version": 9})
    with pytest.raises(ArtifactError, match="expected a run manifest of version 1"):
        RunFolder.at(run.path).manifest()


def test_a_run_that_a_full_disk_kept_from_beginning_leaves_nothing(
    artifact_root: Path, config: FlowConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise ArtifactError("config.yaml: cannot write: No space left on device")

    monkeypatch.setattr("pipeline.artifacts.runs.write_sealed", full)
    with pytest.raises(ArtifactError, match="No space left"):
        open_run(config, run_id="one")
    monkeypatch.undo()
    assert not list(config.root.glob("runs/*/*/*"))
    with open_run(config, run_id="one") as run:
        assert run.state == "running"
