"""What is found below some folders, and what is told of the rest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import DataError
from pipeline.results.reading import find
from tests.results.examples import report, write_run


def manifest(path: Path, **fields: object) -> None:
    path.mkdir(parents=True, exist_ok=True)
    told = {"deployment": "episodic", "run_id": path.name, "seed": 7, "state": "failed", "error": "no\nmemory"}
    (path / "manifest.json").write_text(json.dumps(told | fields))


def test_a_run_is_read_with_its_settings_and_its_curve(tmp_path: Path) -> None:
    path = write_run(tmp_path, report(3), {"suite": {"n": 50}, "seed": 3, "nights": None})
    (path / "lora_train").mkdir()
    steps = pa.table({"step": [1, 2, 3], "loss": [1.0, 0.5, 0.2], "probe_accuracy": [-1.0, 0.5, float("nan")]})
    pq.write_table(steps, path / "lora_train" / "steps.parquet")
    (run,) = find([tmp_path]).runs
    assert run.report.seed == 3 and run.config == {"suite.n": 50, "seed": 3, "nights": None}
    assert run.curve == ((2, 0.5),)


def test_copies_of_one_run_are_one_and_the_one_with_settings_counts(tmp_path: Path) -> None:
    kept = write_run(tmp_path / "a", report(3), {"seed": 3})
    copy = tmp_path / "a" / "mlflow" / "artifacts" / "0" / "artifacts"
    copy.mkdir(parents=True)
    shutil.copy(kept / "report.json", copy)
    write_run(tmp_path / "b", report(3))
    (run,) = find([tmp_path / "b", tmp_path / "a"]).runs
    assert run.config == {"seed": 3}


def test_a_run_that_was_finished_twice_counts_as_it_was_last(tmp_path: Path) -> None:
    write_run(tmp_path / "a", report(3, 0.5), {"seed": 3})
    write_run(tmp_path / "b", report(3, 0.9, finished="2026-11-27T11:00:00.000+00:00"))
    (run,) = find([tmp_path]).runs
    assert run.report.finished.startswith("2026-11-27T11")


def test_what_failed_is_named_with_its_first_line(tmp_path: Path) -> None:
    manifest(tmp_path / "runs/consolidation/episodic/bad")
    manifest(tmp_path / "runs/consolidation/month/long", deployment="month", state="running", error=None)
    (tmp_path / "runs/consolidation/month/long/config.yaml").write_text(
        "nights: {count: 30, facts: 20}\nsuite: {n: 50}"
    )
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage/manifest.json").write_text('{"stage": "teach"}')
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/manifest.json").write_text("{")
    bad, long = find([tmp_path]).unfinished
    assert (bad.run_id, bad.state, bad.error, bad.nights) == ("bad", "failed", "no", None)
    assert (long.run_id, long.error, long.nights, long.facts) == ("long", "", 30, 20)


def test_a_manifest_beside_a_report_is_no_failure(tmp_path: Path) -> None:
    manifest(write_run(tmp_path, report(3)), state="done")
    assert not find([tmp_path]).unfinished


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot read"),
        ("[]", "no report of a known flow"),
        ('{"flow": "swimming"}', "swimming"),
        (json.dumps(report() | {"arms": 3}), "arms"),
    ],
)
def test_what_is_no_report_is_told_with_its_place_from_the_folder(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/report.json").write_text(text)
    ((file, reason),) = find([tmp_path]).unreadable
    assert file == "odd/report.json" and words in reason and str(tmp_path) not in reason


def test_settings_that_cannot_be_read_are_unknown(tmp_path: Path) -> None:
    path = write_run(tmp_path, report(3))
    for text in ("a: [", "- 1", "\x00"):
        (path / "config.yaml").write_text(text)
        assert find([tmp_path]).runs[0].config is None


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder with runs"):
        find([tmp_path / "nowhere"])


def test_sweeps_and_benchmarks_are_found_by_name(tmp_path: Path) -> None:
    for place, seeds in (("a", "1"), ("b", "1 2")):
        folder = tmp_path / place / "sweeps" / "ranks"
        folder.mkdir(parents=True)
        (folder / "sweep.csv").write_text(f"variant,seeds,held_out\nlow,{seeds},0.5\n")
    (tmp_path / "bench-sleep.json").write_text('{"rows": 3}')
    (tmp_path / "bench-torn.json").write_text("{")
    found = find([tmp_path])
    assert [(sweep.name, sweep.rows[0]["seeds"]) for sweep in found.sweeps] == [("ranks", "1 2")]
    assert found.benches == {"sleep": {"rows": 3}}
