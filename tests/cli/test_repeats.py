"""``engram repeat``: exit statuses, what it prints, and that the second time nothing runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.artifacts import list_runs
from tests.cli.test_app import SETTINGS, assert_refused, engram
from tests.stages.examples import ignorant
from tests.stages.nights import ScriptedNight

REPEAT = ("repeat", "consolidation/episodic", *SETTINGS, "--set", "tracking.enabled=false")


@pytest.fixture
def scripted_night(monkeypatch: pytest.MonkeyPatch) -> ScriptedNight:
    return ScriptedNight(monkeypatch)


def test_a_night_over_seeds_ends_with_a_table_and_is_not_run_again(
    scripted_night: ScriptedNight, artifact_root: Path
) -> None:
    first = engram(*REPEAT, "--seeds", "1,3")
    assert first.exit_code == 0, first.output
    for words in ("seed 3 (2 of 2)", "every guard passed", "over 2 seeds", "arms.post_off_heldout.em", "drift.kl_base"):
        assert words in first.output
    assert {run.manifest()["seed"] for run in list_runs(artifact_root)} == {1, 3}
    (folder,) = artifact_root.glob("repeats/consolidation/episodic/episodic-*")
    assert {path.name for path in folder.iterdir()} == {".lock", "repeat.json", "repeat.md"}
    assert str(folder / "repeat.md") in first.output
    called = list(scripted_night.called)
    second = engram(*REPEAT, "--seeds", "1,3", "--figure", "takeover")
    assert second.exit_code == 0 and second.output.count("finished already") == 2 and "takeover" in second.output
    assert scripted_night.called == called and "drift.kl_base" not in second.output


def test_a_seed_that_fails_a_guard_is_status_1_and_is_named(scripted_night: ScriptedNight) -> None:
    assert engram(*REPEAT, "--seeds", "1", "--quiet").exit_code == 0
    scripted_night.answer_with(ignorant)
    result = engram(*REPEAT, "--seeds", "1-2")
    assert result.exit_code == 1 and "seed 2 failed a guard (seed 2: " in result.output
    quiet = engram(*REPEAT, "--seeds", "1-2", "--quiet")
    assert quiet.exit_code == 1 and (Path(quiet.output.strip()) / "repeat.json").is_file()


def test_ctrl_c_keeps_what_is_finished(scripted_night: ScriptedNight, artifact_root: Path) -> None:
    assert engram(*REPEAT, "--seeds", "1").exit_code == 0
    scripted_night.fail_in("lora_train", KeyboardInterrupt())
    result = engram(*REPEAT, "--seeds", "1-2")
    assert result.exit_code == 130 and "resumes" in result.stderr
    (table,) = artifact_root.rglob("repeat.md")
    assert "over 1 of 2 seeds" in table.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--seeds", "1-x"), ("--seeds 1-x", "1-5 or 1,3,9")),
        (("--seeds", "1,2,1"), ("1 more than once",)),
        (("--seeds", "1", "--set", "seed=2"), ("--seeds",)),
        (("--seeds", "1", "--set", "suite.m=8"), ("suite.m", "did you mean 'suite.n'")),
        (("--seeds", "1", "--figure", "sanity.dleta"), ("did you mean 'sanity.delta'",)),
        (("--seeds", "1", "--name", "a/b"), ("a/b",)),
    ],
)
def test_bad_input_is_status_2_before_anything_runs(
    arguments: tuple[str, ...], words: tuple[str, ...], artifact_root: Path
) -> None:
    assert_refused(engram(*REPEAT, *arguments), *words)
    assert not list(artifact_root.iterdir())


def test_seeds_are_needed() -> None:
    result = engram("repeat", "consolidation/episodic")
    assert result.exit_code == 2 and "--seeds" in result.stderr
