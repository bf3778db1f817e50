"""What questions recall counts once, whoever asks meanwhile and wherever a night is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.artifacts import FileLock, GenerationStore, read_table, stage_results
from pipeline.errors import StoreError
from pipeline.sessions.lessons import teach_file
from pipeline.stages import persist_store, recalls
from pipeline.stages.night import configure
from pipeline.stages.recalls import drop_folded, forget_recalls, note_recall, seal_recalls
from pipeline.stores.episode import EPISODE_SCHEMA
from tests.stages.nights import ScriptedNight

NIGHTLY = "consolidation/nightly"


def taught(root: Path, folder: Path, names: tuple[str, ...] = ("Mona Hale", "Olaf Reed", "Ines Boyd")) -> None:
    """A session of some facts."""
    path = folder / "facts.jsonl"
    told = [
        {
            "id": f"f{i}",
            "text": f"On Friday {name} bought a lantern at stall {i}.",
            "subject": name,
            "questions": [{"question": f"At which stall did {name} shop?", "answer": f"stall {i}", "split": "train"}],
        }
        for i, name in enumerate(names)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in told))
    teach_file(path, "default", configure("consolidation/facts", (), root))


def used(root: Path) -> dict[str, tuple[float, int]]:
    """Usage and night of last use by id, as the newest generation has them."""
    return {row["episode_id"]: (row["usage"], row["last_used"]) for row in rows(root)}


def rows(root: Path) -> list[dict[str, Any]]:
    """The newest generation's episodes."""
    generation = GenerationStore.of(root, "default", "episodic").current()
    assert generation is not None
    found: list[dict[str, Any]] = generation.table("episodes", EPISODE_SCHEMA).to_pylist()
    return found


def logs(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "memory" / "default").glob("recalls*.jsonl"))


def test_a_log_is_appended_sealed_and_dropped_when_every_store_has_it(tmp_path: Path) -> None:
    note_recall(tmp_path, "default", {})
    assert logs(tmp_path) == [] and seal_recalls(tmp_path, "default") == ()
    note_recall(tmp_path, "default", {"a": 1})
    note_recall(tmp_path, "default", {"a": 1, "b": 2})
    (first,) = seal_recalls(tmp_path, "default")
    assert (first.questions, first.usage) == (2, {"a": 2.0, "b": 2.0})
    note_recall(tmp_path, "default", {"c": 1})
    both = seal_recalls(tmp_path, "default")
    assert both[0] == first and both[1].usage == {"c": 1.0} and len({log.name for log in both}) == 2
    drop_folded(both, [[first.name, both[1].name], [first.name]])
    assert seal_recalls(tmp_path, "default") == both[1:]


def test_a_torn_line_costs_no_other_and_an_id_can_be_struck_off(tmp_path: Path) -> None:
    note_recall(tmp_path, "default", {"a": 1})
    path = tmp_path / "memory" / "default" / recalls.OPEN
    with path.open("ab") as file:
        file.write(b'{"at": "2026-01-01T00:')
    note_recall(tmp_path, "default", {"b": 1})
    (log,) = seal_recalls(tmp_path, "default")
    assert (log.questions, log.usage) == (2, {"a": 1.0, "b": 1.0})
    note_recall(tmp_path, "default", {"a": 3})
    forget_recalls(tmp_path, "default", "a")
    assert [log.usage for log in seal_recalls(tmp_path, "default")] == [{"b": 1.0}, {}]


def test_who_keeps_the_lock_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recalls, "PATIENCE", 0.02)
    note_recall(tmp_path, "default", {"a": 1})
    lock = FileLock(tmp_path / "memory" / "default" / f".{recalls.OPEN}.lock")
    assert lock.acquire()
    with pytest.raises(StoreError, match=f"process {os.getpid()}"):
        note_recall(tmp_path, "default", {"a": 1})
    lock.release()
    note_recall(tmp_path, "default", {"a": 1})


ASK_OFTEN = """
import sys
from pathlib import Path
from pipeline.stages.recalls import note_recall
for number in range(30):
    note_recall(Path(sys.argv[1]), "default", {f"e{number % 3}": 1})
"""


def test_processes_that_ask_while_the_log_is_sealed_lose_nothing(tmp_path: Path) -> None:
    # Processes of their own: a fork of this one would take over whatever threads and exit hooks earlier tests left.
    command = [sys.executable, "-c", ASK_OFTEN, str(tmp_path)]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    while any(worker.poll() is None for worker in workers):
        seal_recalls(tmp_path, "default")
    for worker in workers:
        assert (worker.wait(), worker.communicate()[1]) == (0, "")
    found = seal_recalls(tmp_path, "default")
    assert sum(log.questions for log in found) == 90
    assert {name: sum(log.usage.get(name, 0) for log in found) for name in ("e0", "e1", "e2")} == {
        "e0": 30.0,
        "e1": 30.0,
        "e2": 30.0,
    }


def test_the_next_night_takes_recalls_in_once_and_replays_by_them(
    scripted_night: ScriptedNight, artifact_root: Path, tmp_path: Path
) -> None:
    taught(artifact_root, tmp_path)
    for _ in range(2):
        note_recall(artifact_root, "default", {"f1": 1})
    run = scripted_night.run("tracking.enabled=false", target=NIGHTLY)
    assert used(artifact_root) == {"f0": (0.0, -1), "f1": (2.0, 0), "f2": (0.0, -1)} and logs(artifact_root) == []
    assert stage_results(run)["persist_store"].metrics["recalls"] == 2
    replay = read_table(stage_results(run)["replay_sample"].path / "replay.parquet", "replay/2").to_pylist()
    weights = {row["episode_id"]: row["weight"] for row in replay}
    parts = run.config().replay.weights  # type: ignore[union-attr]
    for row in rows(artifact_root):
        unused = parts.salience * row["salience"] + parts.novelty * row["novelty"]
        assert weights[row["episode_id"]] == pytest.approx(unused + parts.usage * (row["episode_id"] == "f1"))
    again = scripted_night.run("tracking.enabled=false", target=NIGHTLY)
    assert stage_results(again)["persist_store"].metrics["recalls"] == 0
    assert used(artifact_root)["f1"][0] == 2.0 + 2.0  # and the two of the first night's own examination


def test_a_night_killed_after_it_published_neither_loses_nor_repeats_a_recall(
    scripted_night: ScriptedNight, artifact_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught(artifact_root, tmp_path)
    note_recall(artifact_root, "default", {"f1": 1})

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(persist_store, "drop_folded", killed)
        with pytest.raises(KeyboardInterrupt):
            scripted_night.run("tracking.enabled=false", target=NIGHTLY)
    assert used(artifact_root)["f1"] == (1.0, 0) and len(logs(artifact_root)) == 1
    note_recall(artifact_root, "default", {"f2": 1})  # asked before the night goes on
    scripted_night.run("tracking.enabled=false", target=NIGHTLY)
    assert used(artifact_root) == {"f0": (0.0, -1), "f1": (1.0, 0), "f2": (0.0, -1)}
    assert len(logs(artifact_root)) == 1  # the generation was published before: the later recall waits
    scripted_night.run("tracking.enabled=false", target=NIGHTLY)
    assert used(artifact_root) == {"f0": (2.0, 1), "f1": (3.0, 1), "f2": (3.0, 1)} and logs(artifact_root) == []
