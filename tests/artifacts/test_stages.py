"""Stages: run once, reused while nothing changed, run again for a reason that is told."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.artifacts import (
    RunFolder,
    StageResult,
    load,
    open_run,
    plan,
    read_table,
    stage,
    stage_results,
)
from pipeline.artifacts.sealed import sealed_again
from pipeline.config import load_config
from pipeline.errors import ArtifactError, ConfigError

KEY: dict[str, Any] = {"inputs": {"suite": "s1"}, "config": {"gate": {"alpha": 0.5}, "n": 8}, "code": "c1"}


@pytest.fixture
def run() -> Iterator[RunFolder]:
    with open_run(load_config("consolidation/episodic"), run_id="one") as run:
        yield run


def teach(run: RunFolder, value: int = 1, **changes: Any) -> StageResult:
    """A stage with a table, a JSON file, and a folder that something else wrote."""
    with stage(run, "teach", **KEY | changes) as s:
        if s.hit:
            return s.result
        s.write_table("rows", pa.table({"value": [value]}), "rows/1")
        s.write_json("statistics.json", {"n": 1})
        (s.folder / "adapter" / "deep").mkdir(parents=True)
        (s.folder / "adapter" / "deep" / "weights.bin").write_bytes(b"w")
        s.add(s.folder / "adapter")
        s.metrics = {"accepted": np.int64(3)}
    return s.result


def test_a_stage_publishes_its_files_its_key_and_its_costs(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_WORKER", "cuda-1")
    result = teach(run)
    assert (result.stage, result.path, result.cached, result.worker) == ("teach", run.path / "teach", False, "cuda-1")
    assert result.metrics == {"accepted": 3} and result.seconds >= 0 and result.peak_memory_bytes > 2**20
    manifest = load(run.path / "teach" / "manifest.json")
    assert [file.path for file in manifest.files] == ["adapter/deep/weights.bin", "rows.parquet", "statistics.json"]
    assert manifest.metadata["inputs"] == KEY["inputs"] and manifest.metadata["config"] == KEY["config"]
    assert read_table(result.path / "rows.parquet", "rows/1").schema.metadata[b"engram.config_hash"] == (
        run.config_hash.encode()
    )


def test_an_unchanged_stage_is_not_run_again(run: RunFolder) -> None:
    first, second = teach(run), teach(run, value=2)
    assert second == StageResult.from_dict(first.to_dict() | {"cached": True})
    assert read_table(second.path / "rows.parquet", "rows/1")["value"].to_pylist() == [1]
    assert plan(run, "teach", **KEY) == plan(run, "teach", **KEY)
    assert (plan(run, "teach", **KEY).hit, plan(run, "teach", **KEY).digest) == (True, first.digest)


def test_results_survive_json(run: RunFolder) -> None:
    result = teach(run)
    assert StageResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"inputs": {"suite": "s2"}}, "input changed: suite: 's1' → 's2'"),
        ({"inputs": {"suite": "s1", "store": "x"}}, "input changed: store: None → 'x'"),
        ({"config": {"gate": {"alpha": 0.6}, "n": 8}}, "configuration changed: gate.alpha: 0.5 → 0.6"),
        ({"code": "c2"}, "code changed: 'c1' → 'c2'"),
        ({"force": True}, "asked to run again"),
    ],
)
def test_any_change_runs_the_stage_again_and_says_why(run: RunFolder, changes: dict[str, Any], reason: str) -> None:
    teach(run)
    (run.path / "teach" / "stale.bin").write_bytes(b"old")
    verdict = plan(run, "teach", **KEY | changes)
    assert (verdict.hit, verdict.reason, verdict.digest) == (False, reason, None)
    again = teach(run, value=2, **changes)
    assert not again.cached and read_table(again.path / "rows.parquet", "rows/1")["value"].to_pylist() == [2]
    assert not (run.path / "teach" / "stale.bin").exists()


def test_digests_are_told_by_their_first_characters(run: RunFolder) -> None:
    old, new = "a" * 64, "b" * 64
    teach(run, inputs={"suite": old})
    verdict = plan(run, "teach", **KEY | {"inputs": {"suite": new}})
    assert verdict.reason == "input changed: suite: aaaaaaaa → bbbbbbbb" and verdict.inputs == {"suite": new}


def test_plan_of_what_cannot_be_known_yet(run: RunFolder) -> None:
    assert plan(None, "teach", **KEY).reason == "not run yet"
    assert plan(run, "teach", **KEY).reason == "not run yet"
    assert plan(run, "evaluate", **KEY | {"inputs": {"adapter": None}}).reason == "waits for adapter"


@pytest.mark.parametrize("name", ["rows.parquet", "adapter/deep/weights.bin"])
def test_a_flipped_byte_is_no_hit(run: RunFolder, name: str) -> None:
    teach(run)
    path = run.path / "teach" / name
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    assert f"{name}: digest differs" in plan(run, "teach", **KEY).reason
    assert not teach(run).cached
    assert plan(run, "teach", **KEY).hit


def test_a_damaged_manifest_is_no_hit(run: RunFolder) -> None:
    teach(run)
    path = run.path / "teach" / "manifest.json"
    path.write_text("{")
    assert "not valid JSON" in plan(run, "teach", **KEY).reason
    teach(run)
    content = json.loads(path.read_text())
    del content["metadata"]["inputs"]
    path.write_text(sealed_again(json.dumps(content)))
    assert "lacks 'inputs'" in plan(run, "teach", **KEY).reason
    assert not teach(run).cached


def test_a_failing_stage_publishes_nothing_and_its_checkpoints_serve_the_next_attempt(run: RunFolder) -> None:
    with pytest.raises(KeyboardInterrupt), stage(run, "train", **KEY) as s:
        (s.folder / "checkpoint.bin").write_bytes(b"step 5")
        raise KeyboardInterrupt
    assert plan(run, "train", **KEY).reason == "was interrupted before it finished"
    assert stage_results(run) == {}
    with stage(run, "train", **KEY) as s:
        assert not s.hit and (s.folder / "checkpoint.bin").read_bytes() == b"step 5"
    assert s.result.metrics == {}


@pytest.mark.parametrize("changes", [{"inputs": {"suite": "s2"}}, {"config": {}}, {"code": "c2"}, {"force": True}])
def test_checkpoints_of_another_key_are_thrown_away(run: RunFolder, changes: dict[str, Any]) -> None:
    with pytest.raises(KeyboardInterrupt), stage(run, "train", **KEY) as s:
        (s.folder / "checkpoint.bin").write_bytes(b"step 5")
        raise KeyboardInterrupt
    with stage(run, "train", **KEY | changes) as s:
        assert not (s.folder / "checkpoint.bin").exists()


def test_metrics_that_are_no_json_publish_nothing(run: RunFolder) -> None:
    with pytest.raises(ArtifactError, match=r"train metrics\.loss is nan"), stage(run, "train", **KEY) as s:
        s.metrics = {"loss": float("nan")}
    assert not plan(run, "train", **KEY).hit


def test_adding_what_is_not_there_is_an_error(run: RunFolder) -> None:
    with pytest.raises(ArtifactError, match=r"none: stage train was to list it"), stage(run, "train", **KEY) as s:
        s.add(s.folder / "none")


def test_a_stage_runs_in_one_process_at_a_time(run: RunFolder) -> None:
    with stage(run, "train", **KEY) as s:
        with (
            pytest.raises(ConfigError, match=f"stage train of run one is being run by process {os.getpid()}"),
            stage(run, "train", **KEY),
        ):
            pass
        s.write_bytes("a.bin", b"x")
    with stage(run, "train", **KEY) as s:
        assert s.hit


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "train: cannot write: No space left on device"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "train: cannot write: Disk quota exceeded"),
        (RuntimeError("I/O error: full (os error 28)"), "train: cannot write: No space left on device"),
    ],
)
def test_a_full_disk_met_by_any_library_is_one_clear_error(run: RunFolder, raised: Exception, expected: str) -> None:
    with pytest.raises(ArtifactError, match=expected), stage(run, "train", **KEY):
        raise raised
    assert not plan(run, "train", **KEY).hit


@pytest.mark.parametrize("raised", [FileNotFoundError(errno.ENOENT, "none"), ValueError("other")])
def test_other_errors_pass_through_unchanged(run: RunFolder, raised: Exception) -> None:
    with pytest.raises(type(raised)) as caught, stage(run, "train", **KEY):
        raise raised
    assert caught.value is raised


def test_misuse_is_a_programming_error(run: RunFolder) -> None:
    with stage(run, "train", **KEY) as s:
        with pytest.raises(RuntimeError, match="no result before the end"):
            _ = s.result
        s.write_bytes("a.bin", b"x")
    with stage(run, "train", **KEY) as s:
        assert s.hit
        with pytest.raises(RuntimeError, match="finished already"):
            s.write_bytes("a.bin", b"y")


def test_the_output_digest_is_the_same_in_another_run(run: RunFolder) -> None:
    with open_run(load_config("consolidation/episodic"), run_id="two") as other:
        assert teach(other).digest == teach(run).digest != teach(run, value=2, force=True).digest


def test_results_of_all_stages_are_listed_and_a_copied_run_keeps_its_hits(run: RunFolder, tmp_path: Path) -> None:
    teach(run)
    assert set(stage_results(run)) == {"teach"} and stage_results(run)["teach"].cached
    run.path.rename(tmp_path / "copy")
    copy = RunFolder.at(tmp_path / "copy")
    assert plan(copy, "teach", **KEY).hit and teach(copy).path == tmp_path / "copy" / "teach"
    (tmp_path / "copy").rename(run.path)
