"""Going back to an earlier champion: the alias, its history, and what is due again."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.artifacts import RunFolder, stage_results
from pipeline.errors import ArtifactError, ServiceError
from pipeline.sessions.champion import find_champion
from pipeline.sessions.rollback import champion_history, roll_back
from pipeline.stages.memory import generations_of
from pipeline.stages.suite_files import read_suite
from pipeline.tracking.history import Move, version_before
from tests.stages.examples import ignorant
from tests.stages.nights import ScriptedNight

NIGHTLY = "consolidation/nightly"


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch) -> ScriptedNight:
    return ScriptedNight(monkeypatch)


def continued(night: ScriptedNight, number: int) -> RunFolder:
    settings = ("suite.name=episodic", "suite.n=4", f"suite.skip={4 * number}", "session=s", f"lora.rank={8 + number}")
    return night.run(*settings, target=NIGHTLY)


def version_of(root: Path) -> int | None:
    found = find_champion(root)
    return found.version if found else None


def test_the_champion_goes_back_and_its_facts_are_due_again(night: ScriptedNight, artifact_root: Path) -> None:
    with pytest.raises(ServiceError, match="no champion yet"):
        roll_back(artifact_root)
    first, second = continued(night, 0), continued(night, 1)
    assert version_of(artifact_root) == 2
    third = continued(night, 2)  # folds what the second one learned
    done = roll_back(artifact_root, to=1)
    assert (done.previous, done.version, done.withdrawn) == (3, 1, (second.run_id, third.run_id))
    assert version_of(artifact_root) == 1
    assert [(move.version, move.previous, move.why) for move in champion_history(artifact_root)] == [
        (1, None, "guards passed"),
        (2, 1, "guards passed"),
        (3, 2, "guards passed"),
        (1, 3, "rolled back"),
    ]
    fourth = continued(night, 3)
    taught = [{fact.id for fact in read_suite(stage_results(run)["teach"].path).taught} for run in (first, second)]
    rows = generations_of(fourth, fourth.config()).current().table("episodes").to_pylist()  # type: ignore[union-attr]
    passes = {row["episode_id"]: row["passes"] for row in rows}
    assert all(passes[name] > 0 for name in taught[0]) and not any(passes[name] for name in taught[1])
    assert version_of(artifact_root) == 4
    assert roll_back(artifact_root).version == 1  # not 3, which was taken back


def test_a_failed_guard_is_no_move(night: ScriptedNight, artifact_root: Path) -> None:
    continued(night, 0)
    night.answer_with(ignorant)
    continued(night, 1)
    assert version_of(artifact_root) == 1 and len(champion_history(artifact_root)) == 1
    with pytest.raises(ServiceError, match="first champion"):
        roll_back(artifact_root)
    with pytest.raises(ServiceError, match="no version 9"):
        roll_back(artifact_root, to=9)


def test_damaged_files_stop_a_rollback_before_anything_moves(night: ScriptedNight, artifact_root: Path) -> None:
    first = continued(night, 0)
    continued(night, 1)
    (first.path / "lora_train" / "adapter" / "adapter_model.safetensors").write_bytes(b"flipped")
    with pytest.raises(ArtifactError, match="differs"):
        roll_back(artifact_root)
    assert version_of(artifact_root) == 2


@pytest.mark.parametrize(
    ("line", "current", "before"),
    [([1, 2, 3], 3, 2), ([1, 2, 3, 2], 2, 1), ([1, 2, 1, 3], 3, 1), ([1, 2, 3, 1, 4, 5, 4], 4, 1)],
)
def test_the_version_before_leaves_out_what_was_taken_back(line: list[int], current: int, before: int) -> None:
    assert version_before([Move(version, "", None, "") for version in line], current) == before
