"""``engram results``: what it prints, what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_app import assert_refused, engram
from tests.results.examples import report, write_run


def test_a_page_is_written_from_folders_of_runs(tmp_path: Path) -> None:
    for seed, em in ((1, 0.95), (2, 0.8)):
        write_run(tmp_path / "runs", report(seed, em))
    (tmp_path / "runs" / "odd").mkdir()
    (tmp_path / "runs" / "odd" / "report.json").write_text("{")
    result = engram("results", tmp_path / "runs", "--out", tmp_path / "docs")
    assert result.exit_code == 0, result.output
    assert "unseen phrasings, EM" in result.output and "short: seed 2" in result.output
    assert "2 runs and nights" in result.output and "unreadable: odd/report.json" in result.output
    assert (tmp_path / "docs/results.md").read_text().startswith("# Results")
    assert json.loads((tmp_path / "docs/results.json").read_text())["schema"] == "results/1"


def test_nothing_is_written_without_a_run(tmp_path: Path) -> None:
    assert_refused(engram("results", tmp_path, "--out", tmp_path / "docs"), "expected runs with report.json")
    assert_refused(engram("results", tmp_path / "nowhere", "--out", tmp_path / "docs"), "expected a folder with runs")
    bars = tmp_path / "bars.yaml"
    bars.write_text("beside: []\ngroups: {a: {titel: A, deployment: b}}\nrows: []\n")
    assert_refused(engram("results", tmp_path, "--config", bars), "bars.yaml:2", "did you mean")
    assert not (tmp_path / "docs").exists()
