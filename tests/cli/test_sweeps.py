"""``engram sweep``: exit statuses, what it prints, its plan, and runs in processes of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.cli import sweeps
from pipeline.config.sweeps import load_sweep
from pipeline.errors import EngramError, TrainingError
from pipeline.sessions.sweeping import ask_sweep
from tests.cli.test_app import assert_refused, engram
from tests.stages.examples import ignorant
from tests.stages.nights import ScriptedNight

TEXT = """
title: Ranks
target: consolidation/episodic
seeds: [1]
settings: {suite.n: 4, suite.profile: easy, evaluation.bootstrap: 50, tracking.enabled: false}
variants:
  default: {}
  low-rank: {settings: {lora.rank: 2}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ranks.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def scripted_night(monkeypatch: pytest.MonkeyPatch) -> ScriptedNight:
    return ScriptedNight(monkeypatch)


def test_a_sweep_ends_with_a_table_and_its_plan_tells_what_is_left(
    scripted_night: ScriptedNight, artifact_root: Path, file: Path
) -> None:
    planned = engram("sweep", file, "--plan")
    assert planned.exit_code == 0 and "2 runs to do, about 173,568 trained tokens" in planned.output
    assert not list(artifact_root.iterdir())
    assert engram("sweep", file, "--only", "default").exit_code == 0
    planned = engram("sweep", file, "--plan")
    assert "be reused" in planned.output and "1 runs to do" in planned.output and "at the pace" in planned.output
    scripted_night.answer_with(ignorant)  # a failed guard is a figure
    result = engram("sweep", file)
    assert result.exit_code == 0, result.output
    for words in ("1 of 2 runs are finished already", "low-rank, seed 1: finished", "held out", "sweep.csv"):
        assert words in result.output
    quiet = engram("sweep", file, "--quiet")
    assert quiet.exit_code == 0 and (Path(quiet.output.strip()) / "sweep.md").is_file()


def test_a_run_that_cannot_finish_is_status_1(scripted_night: ScriptedNight, file: Path) -> None:
    scripted_night.fail_in("lora_train", TrainingError("B is still zero"))
    result = engram("sweep", file)
    assert result.exit_code == 1 and result.output.count("B is still zero") >= 2 and "Traceback" not in result.output


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (("title: Ranks", "titel: Ranks"), (), ("ranks.yaml:2", "unknown key 'titel'")),
        (("lora.rank: 2", "lora.rnak: 2"), (), ("variant low-rank", "did you mean 'lora.rank'")),
        (("", ""), ("--only", "high-rank"), ("unknown variant 'high-rank'",)),
        (("", ""), ("--seeds", "x"), ("--seeds x",)),
        (("", ""), ("--name", "../x"), ("../x",)),
    ],
)
def test_bad_input_is_status_2_before_anything_runs(
    change: tuple[str, str], arguments: tuple[str, ...], words: tuple[str, ...], file: Path, artifact_root: Path
) -> None:
    file.write_text(TEXT.replace(*change) if change[0] else TEXT)
    assert_refused(engram("sweep", file, *arguments), *words)
    assert not list(artifact_root.iterdir())


def test_a_run_of_its_own_process_keeps_its_output_and_tells_the_last_line(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name, loaded = load_sweep(str(file))
    point = ask_sweep(name, loaded, ("model.name=nowhere/at-all",)).points[0]
    fake = tmp_path / "python"
    fake.write_text(f'#!/bin/sh\necho "GPU $CUDA_VISIBLE_DEVICES"\nexec {sys.executable} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with pytest.raises(EngramError, match="nowhere/at-all"):
        sweeps.in_own_process(point, "3")
    log = (point.config.root / "sweep.log").read_text()
    assert log.startswith("GPU 3\n") and "Traceback" not in log


def test_visible_gpus_are_those_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
    assert sweeps.visible_gpus() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert sweeps.visible_gpus() == []
