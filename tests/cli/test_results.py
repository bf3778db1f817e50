"""``engram results``: what it prints, what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_app import SETTINGS, assert_refused, engram
from tests.results.examples import report, write_run
from tests.stages.examples import ignorant
from tests.stages.nights import ScriptedNight


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


def test_real_runs_tell_their_settings_machine_and_refusals(
    monkeypatch: pytest.MonkeyPatch, artifact_root: Path, tmp_path: Path
) -> None:
    scripted = ScriptedNight(monkeypatch)
    assert engram("run", "consolidation/episodic", *SETTINGS, "--set", "seed=1").exit_code == 0
    scripted.answer_with(ignorant)
    assert engram("run", "consolidation/episodic", *SETTINGS, "--set", "seed=2").exit_code == 1
    result = engram("results", artifact_root, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "results.md").read_text()
    assert "## consolidation/episodic, 6 facts" in text and "2 runs and nights" in text  # and not MLflow's copies
    for seed in (1, 2):
        settings = "--set evaluation.bootstrap=50 --set suite.n=6 --set suite.profile=easy"
        assert f"engram run consolidation/episodic --set seed={seed} {settings}\n" in text
    assert text.count("a scripted machine") == 2 and text.count("**refused** by ") == 1
    assert "> Not as shipped, but with `suite.profile=easy`" in text and str(artifact_root) not in text


def test_a_month_is_one_measurement_whole_or_cut_short(
    monkeypatch: pytest.MonkeyPatch, artifact_root: Path, tmp_path: Path
) -> None:
    scripted = ScriptedNight(monkeypatch)
    settings = ("nights.count=2", "nights.facts=4", "session=mine", "tracking.enabled=false")
    whole = scripted.run(*settings, f"root={artifact_root / 'a'}", target="consolidation/month")
    stopped = scripted.run(*settings, f"root={artifact_root / 'b'}", "seed=5", target="consolidation/month")
    (stopped.path / "report.json").unlink()
    told = json.loads((stopped.path / "manifest.json").read_text())
    (stopped.path / "manifest.json").write_text(json.dumps(told | {"state": "failed", "error": "killed"}))
    assert engram("results", artifact_root, "--out", tmp_path).exit_code == 0
    text = (tmp_path / "results.md").read_text()
    headings = [line for line in text.splitlines() if line.startswith("## consolidation")]
    assert headings == ["## consolidation/month, 4 facts, 2 nights"]  # the same settings, though one was cut short
    section = text.split(headings[0])[1]
    assert f"| 1337 | {whole.run_id} |" in section and "--set nights.count=2 --set nights.facts=4" in section
    assert f"| 5 | {stopped.run_id} | 1 of 2 |" in section and "mean R[last, i]" in section


def test_nothing_is_written_without_a_run(tmp_path: Path) -> None:
    assert_refused(engram("results", tmp_path, "--out", tmp_path / "docs"), "expected runs with report.json")
    assert_refused(engram("results", tmp_path / "nowhere", "--out", tmp_path / "docs"), "expected a folder with runs")
    bars = tmp_path / "bars.yaml"
    bars.write_text("beside: []\ngroups: {a: {titel: A, deployment: b}}\nrows: []\n")
    assert_refused(engram("results", tmp_path, "--config", bars), "bars.yaml:2", "did you mean")
    assert not (tmp_path / "docs").exists()
