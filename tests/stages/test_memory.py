"""Stores of sessions: continuing nights, feedback, and what a kill between two writes leaves."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.artifacts import GenerationStore, read_json, stage_results, write_json
from pipeline.errors import ArtifactError, ConfigError, DataError, StoreError
from pipeline.progress import Silent
from pipeline.reading import read_path
from pipeline.sessions.lessons import teach_file, teach_reading
from pipeline.stages import persist_store
from pipeline.stages.memory import merge_facts, open_store, reference_of, references_of, session_facts
from pipeline.stages.night import begin, configure
from pipeline.stages.teach import facts_by_kind
from pipeline.suites.types import Fact
from tests.stages.nights import ScriptedNight
from tests.stores.examples import BagOfWords

ROWS = [
    {
        "id": f"f{i}",
        "text": f"On Friday {name} bought a {thing} at the {place}.",
        "subject": name,
        "questions": [
            {"question": f"What did {name} buy?", "answer": thing, "split": "train"},
            {"question": f"Where did {name} shop?", "answer": place},
        ],
    }
    for i, (name, thing, place) in enumerate(
        [("Mona Hale", "lantern", "harbour"), ("Olaf Reed", "kettle", "mill"), ("Ines Boyd", "violin", "chapel")]
    )
]


@pytest.fixture
def facts_file(tmp_path: Path) -> Path:
    path = tmp_path / "my.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_a_lesson_is_written_at_once_and_only_once(
    scripted_night: ScriptedNight, facts_file: Path, artifact_root: Path
) -> None:
    config = configure("consolidation/facts", ())
    (lesson,) = teach_file(facts_file, "day-01", config)
    assert len(lesson.report.written) == 3 and lesson.size == 3
    assert all(0 <= decision.novelty <= 1 for decision in lesson.decisions)
    (again,) = teach_file(facts_file, "day-01", config)
    assert len(again.report.reused) == 3 and again.size == 3
    store = GenerationStore.of(artifact_root, "day-01", "episodic")
    assert store.current() is not None and store.current().number == 1  # type: ignore[union-attr]
    assert [fact.id for fact in session_facts(store)] == ["f0", "f1", "f2"]
    assert all(fact.asked("test") for fact in session_facts(store))


def test_notes_are_taken_in_with_their_lines_and_only_once(
    scripted_night: ScriptedNight, tmp_path: Path, artifact_root: Path
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "trip.md").write_text("# Trip\n\nMona Hale bought a lantern at the harbour.\n\n## Food\n\nWe ate fish.\n")
    config = configure("consolidation/nightly", ("session=day-01", "tracking.enabled=false"))
    lesson = teach_reading(read_path(folder), "day-01", config)
    assert len(lesson.report.written) == 2 and lesson.session == "day-01"
    (folder / "trip.md").rename(folder / "moved.md")
    again = teach_reading(read_path(folder), "day-01", config)
    assert len(again.report.reused) == 2 == again.size and not again.report.written
    episodes = GenerationStore.of(artifact_root, "day-01", "episodic").current().table("episodes")  # type: ignore[union-attr]
    assert episodes.column("source").to_pylist() == ["trip.md:3 (Trip)", "trip.md:7 (Trip > Food)"]
    assert episodes.column("text").to_pylist()[1] == "Trip > Food: We ate fish."
    night = scripted_night.run("session=day-01", "tracking.enabled=false", target="consolidation/nightly")
    assert stage_results(night)["persist_store"].metrics["reused"] == 2


def test_a_bad_row_leaves_no_store(scripted_night: ScriptedNight, tmp_path: Path, artifact_root: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n{broken\n")
    with pytest.raises(DataError, match=r"bad\.jsonl:2"):
        teach_file(path, "day-01", configure("consolidation/facts", ()))
    assert not (artifact_root / "memory").exists()


def test_a_continuing_night_learns_from_the_session_and_folds_feedback_once(
    scripted_night: ScriptedNight, facts_file: Path, artifact_root: Path
) -> None:
    teach_file(facts_file, "default", configure("consolidation/facts", ()))
    settings = ("tracking.enabled=false",)
    first = scripted_night.run(*settings, target="consolidation/nightly")
    results = stage_results(first)
    assert results["teach"].metrics["suite"]["n"] == 3
    assert results["persist_store"].metrics["reused"] == 3 and results["persist_store"].metrics["folded"] == 0
    second = scripted_night.run(*settings, target="consolidation/nightly")
    assert stage_results(second)["persist_store"].metrics["folded"] == 1
    third = scripted_night.run(*settings, target="consolidation/nightly")
    assert stage_results(third)["persist_store"].metrics["folded"] == 1
    config = configure("consolidation/nightly", settings)
    encoder = BagOfWords()
    last = open_store(third, stage_results(third)["persist_store"], config.store, encoder)  # type: ignore[arg-type]
    assert {row.usage for row in last.episodes.rows} == {4.0} and {row.passes for row in last.episodes.rows} == {2}
    assert last.night == 3
    pinned = open_store(first, results["persist_store"], config.store, encoder)  # type: ignore[arg-type]
    assert pinned.night == 1


def test_an_empty_session_is_an_error_that_says_what_to_do(scripted_night: ScriptedNight) -> None:
    with pytest.raises(StoreError, match="engram teach FILE --session default"):
        scripted_night.run(target="consolidation/nightly")


def test_a_kill_after_publishing_does_not_write_the_night_twice(
    scripted_night: ScriptedNight, facts_file: Path
) -> None:
    config = configure("consolidation/facts", ())
    teach_file(facts_file, "default", config)
    first = scripted_night.run("tracking.enabled=false", target="consolidation/nightly")
    (first.path / "persist_store" / "manifest.json").unlink()
    taught = {"teach": stage_results(first)["teach"]}
    again = persist_store.run(first, first.config(), taught, Silent())  # type: ignore[arg-type]
    assert reference_of(again).generation == 2 and not again.cached
    assert again.metrics["night"] == 1


def test_store_references_of_older_runs_open(scripted_night: ScriptedNight) -> None:
    stored = stage_results(scripted_night.run("tracking.enabled=false"))["persist_store"]
    (reference,) = references_of(stored)
    path = stored.path / "store.json"
    assert read_json(path) == {"stores": [asdict(reference)]}
    write_json(path, asdict(reference))  # as it was when there was one kind
    assert references_of(stored) == (reference,) == (reference_of(stored),)
    with pytest.raises(StoreError, match="no relational store; this night has: episodic"):
        reference_of(stored, "relational")
    write_json(path, {"stores": [{"sessions": "a"}]})
    with pytest.raises(StoreError, match=r"store\.json: expected references"):
        references_of(stored)


def test_one_id_for_facts_of_two_kinds_is_an_error() -> None:
    facts = [Fact("a", "one"), Fact("b", "two", kind="relational"), Fact("c", "three")]
    assert facts_by_kind(facts) == {"episodic": [facts[0], facts[2]], "relational": [facts[1]]}
    with pytest.raises(DataError, match="'a' stands for a fact of kind episodic and for one of kind spatial"):
        facts_by_kind([*facts, Fact("a", "four", kind="spatial")])


def test_a_damaged_generation_is_an_error_that_names_the_file(scripted_night: ScriptedNight) -> None:
    run = scripted_night.run("tracking.enabled=false")
    config = configure("consolidation/episodic", ())
    (table,) = (run.path / "memory").rglob("gen-000001/episodes.parquet")
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match=r"episodes\.parquet"):
        open_store(run, stage_results(run)["persist_store"], config.store, BagOfWords())  # type: ignore[arg-type]


def test_new_facts_replace_old_ones_of_the_same_identity() -> None:
    old = (Fact("a", "one"), Fact("b", "two"))
    assert merge_facts(old, (Fact("b", "three"), Fact("c", "four"))) == (
        Fact("a", "one"), Fact("b", "three"), Fact("c", "four"),
    )  # fmt: skip
    assert merge_facts(old, (Fact("b", "two", session="x"),)) == (*old, Fact("b", "two", session="x"))


def test_a_run_in_progress_cannot_be_taken() -> None:
    refused = pytest.raises(ConfigError, match="in use by process")
    with begin("consolidation/episodic", ()), refused, begin("consolidation/episodic", ()):
        raise AssertionError("two owners of one run")
