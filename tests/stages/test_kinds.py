"""Nights with several kinds of memory: each through its own gate and into its own store, and all of them replayed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.artifacts import GenerationStore, RunFolder, read_table, stage_results
from pipeline.progress import Silent
from pipeline.replay.earlier import NIGHT_SCHEMA
from pipeline.sessions import asking
from pipeline.stages import replay_sample
from pipeline.stages.memory import open_stores, references_of, session_facts, written_kinds
from pipeline.stages.night import configure
from pipeline.stages.suite_files import read_suite
from pipeline.stores import GATE_SCHEMA, StoreRetriever
from pipeline.stores.relational import RelationalStore
from pipeline.suites.episodic import build_episodic
from pipeline.suites.relational import build_relational
from pipeline.suites.types import Suite
from tests.stages.nights import ScriptedNight
from tests.stores.examples import BagOfWords

RELATIONAL = "consolidation/relational"
QUIET = "tracking.enabled=false"


def both_kinds(*_: object) -> Suite:
    """Three events and three chains, each with a corrected statement, as one suite."""
    events, chains = build_episodic(3, 5, "easy"), build_relational(3, 5, 1.0)
    merged = {name: (*getattr(events, name), *getattr(chains, name)) for name in ("taught", "untaught", "near_miss")}
    return Suite("both", **merged, distractors=(), conflict=(), new=(), statistics=events.statistics)


@pytest.fixture
def both(scripted_night: ScriptedNight, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr("pipeline.stages.teach.build_suite", both_kinds)
    return scripted_night.run(QUIET)


def test_relations_alone_bring_their_store_alone(scripted_night: ScriptedNight) -> None:
    run = scripted_night.run(QUIET, "suite.n=4", target=RELATIONAL)
    results = stage_results(run)
    assert [reference.kind for reference in references_of(results["persist_store"])] == ["relational"]
    assert not (results["teach"].path / "candidates.parquet").exists()
    gate = read_table(results["teach"].path / "gate.parquet", GATE_SCHEMA)
    assert set(gate["kind"].to_pylist()) == {"relational"} and all(
        json.loads(text) for text in gate["parts"].to_pylist()
    )
    report = json.loads((run.path / "report.json").read_text())
    kinds = {"one_hop", "join", "two_step", "two_step_one_prompt", "newest"}
    assert set(report["relational"]) == {*kinds, "n", "ci95", "prior", "hops"}
    assert set(report["relational"]["ci95"]) == set(report["relational"]["prior"]) == kinds
    assert report["relational"]["two_step"] == 1.0 and report["relational"]["prior"]["two_step"]["mean"] == 0.0
    assert report["telemetry"]["store.size"] == len(build_relational(4, 1337).taught)


def test_walks_bring_a_map_beside_their_episodes(scripted_night: ScriptedNight) -> None:
    run = scripted_night.run(QUIET, "suite.n=10", "suite.profile=default", target="consolidation/spatial")
    results = stage_results(run)
    generation = GenerationStore.of(run.path, "default", "spatial").current()
    assert generation is not None and generation.table("episodes").num_rows == 30
    assert generation.table("passages", "passages/1").num_rows == 14, "seven passages, there and back"
    assert generation.table("routes", "routes/1").num_rows == 6
    gate = read_table(results["teach"].path / "gate.parquet", GATE_SCHEMA).to_pylist()
    assert {row["kind"] for row in gate} == {"spatial"} and 10 <= sum(row["accepted"] for row in gate) < 30
    spatial = json.loads((run.path / "report.json").read_text())["spatial"]
    assert spatial["n"] == {"next": 24, "direction": 16}
    assert set(spatial["unseen_pairs"]) == {"next", "steps", "walk"}
    assert spatial["unseen_pairs"]["walk"]["two_step"] == {"mean": 1.0, "ci95": [1.0, 1.0], "n": 4}


def test_every_kind_has_its_own_generation(both: RunFolder) -> None:
    results = stage_results(both)
    config = configure("consolidation/episodic", ())
    events, chains = open_stores(both, results["persist_store"], config.store, BagOfWords())  # type: ignore[arg-type]
    assert len(events) == 3 and isinstance(chains, RelationalStore) and len(chains) > 9
    for store in (events, chains):
        assert (both.path / "memory" / "default" / store.kind / "gen-000001" / "episodes.parquet").is_file()
    metrics = results["persist_store"].metrics
    assert metrics["rows"] == metrics["written"] == len(events) + len(chains)
    assert {kind: told["rows"] for kind, told in metrics["kinds"].items()} == {
        "episodic": len(events), "relational": len(chains)
    }  # fmt: skip
    assert results["teach"].metrics["gates"]["attempts"] == metrics["rows"]


def test_every_kind_is_replayed_but_for_what_was_corrected(both: RunFolder) -> None:
    replay = read_table(stage_results(both)["replay_sample"].path / "replay.parquet", NIGHT_SCHEMA)
    kinds = dict(zip(replay["episode_id"].to_pylist(), replay["kind"].to_pylist(), strict=True))
    suite = both_kinds()
    assert kinds == {fact.id: fact.kind for fact in suite.taught if not fact.id.endswith("-before")}
    assert sum(fact.id.endswith("-before") for fact in suite.taught) == 3


def test_the_mix_decides_how_a_small_budget_is_shared(both: RunFolder) -> None:
    settings = ("replay.max_items=5", "replay.mix.episodic=0.6", "replay.mix.relational=0.4", QUIET)
    config = configure("consolidation/episodic", settings)
    stored = {"persist_store": stage_results(both)["persist_store"]}
    drawn = replay_sample.run(both, config, stored, Silent()).metrics  # type: ignore[arg-type]
    assert drawn["samples_by_kind"] == {"episodic": 3, "relational": 2}


def test_one_retriever_asks_every_kind(both: RunFolder) -> None:
    config = configure("consolidation/episodic", ())
    stores = open_stores(both, stage_results(both)["persist_store"], config.store, BagOfWords())  # type: ignore[arg-type]
    retriever = StoreRetriever(stores, BagOfWords())
    suite = both_kinds()
    joins = [q for fact in suite.taught for q in fact.asked("test") if q.relation.startswith("join")]
    assert all(
        question.answer in memories[0].text and len(memories[0].episodes) > 1
        for question, memories in zip(joins, retriever.retrieve([q.question for q in joins], 1), strict=True)
    )
    events = [fact for fact in suite.taught if fact.kind == "episodic"]
    found = retriever.retrieve([fact.text for fact in events], 1)
    assert [memories[0].text for memories in found] == [fact.text for fact in events]
    assert set(retriever.usage) > {fact.id for fact in events}


def test_a_continuing_session_keeps_all_its_kinds_and_folds_feedback_into_each(
    scripted_night: ScriptedNight, artifact_root: Path
) -> None:
    continuing = ("fresh=false", "session=day", QUIET)
    scripted_night.run(*continuing, "suite.n=3")
    scripted_night.run(*continuing, "suite.n=2", target=RELATIONAL)
    assert written_kinds(artifact_root, "day") == ("episodic", "relational")
    third = scripted_night.run(*continuing, "suite.n=2", target=RELATIONAL)
    stored = stage_results(third)["persist_store"]
    assert stored.metrics["folded"] == 1 and stored.metrics["replaced"] == 0
    config = configure("consolidation/nightly", (QUIET,))
    stores = {store.kind: store for store in open_stores(third, stored, config.store, BagOfWords())}  # type: ignore[arg-type]
    used = {row.episode_id: row.usage for store in stores.values() for row in store.episodes.rows}
    assert used["episodic-1337-e0000"] == used["relational-1337-r0000-1"] == 2.0
    assert {kind: store.night for kind, store in stores.items()} == {"episodic": 3, "relational": 2}
    generations = GenerationStore.of(artifact_root, "day", "relational")
    assert {fact.kind for fact in session_facts(generations)} == {"relational"}


def test_a_night_without_a_file_examines_what_every_store_of_its_session_holds(scripted_night: ScriptedNight) -> None:
    continuing = ("fresh=false", "session=day", QUIET)
    scripted_night.run(*continuing, "suite.n=3")
    scripted_night.run(*continuing, "suite.n=2", target=RELATIONAL)
    taught = stage_results(scripted_night.run(*continuing, target="consolidation/nightly"))["teach"]
    assert {fact.kind for fact in read_suite(taught.path).taught} == {"episodic", "relational"}
    names = {path.stem for path in taught.path.glob("candidates*.parquet")}
    assert names == {"candidates", "candidates-relational"}


def test_a_person_asks_every_store_of_a_session(scripted_night: ScriptedNight, artifact_root: Path) -> None:
    continuing = ("fresh=false", "session=day", QUIET)
    scripted_night.run(*continuing, "suite.n=3")
    scripted_night.run(*continuing, "suite.n=2", target=RELATIONAL)
    config = configure("consolidation/nightly", (QUIET,))
    asked = asking._memory_of(asking._Source(None, None, ""), "day", artifact_root, config).stores
    assert [store.kind for store in asked] == ["episodic", "relational"]
