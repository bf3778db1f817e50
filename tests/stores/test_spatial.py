"""The spatial store: answers from the map reach the model as text, and outlive the process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pipeline
from pipeline.artifacts import GenerationStore
from pipeline.config import GateConfig, StoreConfig
from pipeline.config.memory import SpatialGateConfig
from pipeline.evaluation.scoring import mentions
from pipeline.stores import EncoderIdentity, Episode, StoreRetriever, save, store_class
from pipeline.stores.episode import episode_of
from pipeline.stores.spatial import SpatialStore
from pipeline.suites.spatial import build_spatial
from tests.stores.examples import BagOfWords
from tests.stores.walking import walk

WALKS = (
    walk("e0", "mill north chapel", [4]),
    walk("e1", "chapel east bakery", [5]),
    walk("e2", "chapel south mill", [6]),
    walk("e3", "mill north chapel", [6]),
)
STEP = "From the mill, go north to reach the chapel; it takes 5 minutes."
WAY = "To get from the mill to the bakery, go north to the chapel (5 minutes), then east to the bakery (5 minutes)."


@pytest.fixture
def places(config: StoreConfig, encoder: BagOfWords) -> SpatialStore:
    made = SpatialStore("day-01", config, EncoderIdentity(encoder.name, encoder.digest, encoder.dimension))
    return taught(made, encoder, WALKS)


def taught(store: SpatialStore, encoder: BagOfWords, rows: tuple[Episode, ...]) -> SpatialStore:
    store.write(store.candidates(rows, encoder.encode([row.text for row in rows])), enforce=False)
    return store


def told(store: SpatialStore, encoder: BagOfWords, question: str) -> str:
    return StoreRetriever(store, encoder).retrieve([question], 1)[0][0].text


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("From the mill, which way to the chapel?", STEP),
        ("In which direction lies the chapel from the mill?", STEP),
        ("What lies directly north of the mill?", STEP),
        ("On the way from the mill to the bakery, which place comes first?", WAY),
        ("How do I reach the bakery from the Mill?", WAY),
        ("I leave the mill and go north, then east. Where am I?", WAY),
    ],
)
def test_the_map_answers_in_words(places: SpatialStore, encoder: BagOfWords, question: str, answer: str) -> None:
    assert told(places, encoder, question) == answer


def test_what_the_map_cannot_answer_is_recalled_as_text(places: SpatialStore, encoder: BagOfWords) -> None:
    for question in ("What lies west of the mill?", "Tell me about the bakery.", "From the barn to the mill?"):
        memories = StoreRetriever(places, encoder).retrieve([question], 2)[0]
        assert [m.text in {row.text for row in WALKS} for m in memories] == [True, True]


def test_usage_goes_to_every_episode_that_an_answer_rests_on(places: SpatialStore, encoder: BagOfWords) -> None:
    retriever = StoreRetriever(places, encoder, {"From the mill to the bakery: how?": "e1"})
    retriever.retrieve(["From the mill to the bakery: how?"], 1)
    assert retriever.hits == 1 and retriever.usage == {"e0": 1, "e1": 1}


def test_forgetting_and_pruning_change_the_map(places: SpatialStore, encoder: BagOfWords) -> None:
    assert places.forget("day-01", "e1") and not places.forget("day-01", "e1")
    assert places.map.plan("mill", "bakery") is None and "bakery" not in places.map.places
    assert places.forget("day-01", "e3")
    assert told(places, encoder, "From the mill to the chapel?") == STEP.replace("5 minutes", "4 minutes")
    places.fold_feedback({}, dict.fromkeys(("e0", "e2"), True), "run-1")
    places.decay(10_000)
    assert set(places.prune()) == {"e0", "e2"} and places.map.places == ()


def test_a_newer_version_of_a_walk_replaces_what_it_showed(places: SpatialStore, encoder: BagOfWords) -> None:
    taught(places, encoder, (walk("e1", "chapel west bakery", [5]),))
    passage = places.map.passage("chapel", "bakery")
    assert passage is not None and (passage.direction, passage.count) == ("west", 1)


def test_the_map_outlives_the_process(places: SpatialStore, tmp_path: Path) -> None:
    generations = GenerationStore.of(tmp_path, "day-01", "spatial")
    generation = save(places, generations, config_hash="0")
    assert generation.table("passages", "passages/1").num_rows == 3
    assert generation.table("routes", "routes/1").num_rows == 0
    script = f"""
from pathlib import Path
from pipeline.artifacts import GenerationStore
from pipeline.config import StoreConfig
from pipeline.stores import load
from tests.stores.examples import BagOfWords
from pipeline.stores import EncoderIdentity, StoreRetriever
encoder = BagOfWords()
identity = EncoderIdentity(encoder.name, encoder.digest, encoder.dimension)
generations = GenerationStore.of(Path({str(tmp_path)!r}), "day-01", "spatial")
store = load(generations, "day-01", StoreConfig(expansion=1024, active=32), identity, "spatial")
print(StoreRetriever(store, encoder).retrieve(["From the mill to the bakery?"], 1)[0][0].text)
"""
    source = Path(pipeline.__file__).parents[1]
    paths = os.pathsep.join((str(source), str(source.parent)))
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == WAY


def test_the_kind_is_registered() -> None:
    assert store_class("spatial") is SpatialStore and SpatialStore.kind == "spatial"


@pytest.mark.parametrize("seed", [1337, 2025])
def test_every_question_of_the_suite_recalls_its_answer(config: StoreConfig, encoder: BagOfWords, seed: int) -> None:
    suite = build_spatial(30, seed, "hard")
    identity = EncoderIdentity(encoder.name, encoder.digest, encoder.dimension)
    store = SpatialStore("default", config, identity)
    facts = (*suite.taught, *suite.distractors)
    taught(store, encoder, tuple(episode_of(fact, source="suite", created=i) for i, fact in enumerate(facts)))
    asked = [q for fact in suite.taught for q in fact.questions if q.split != "train"]
    asked += [q for q in suite.unseen if q.relation != "unseen_steps"]
    found = StoreRetriever(store, encoder).retrieve([q.question for q in asked], 1)
    wrong = [q.question for q, memories in zip(asked, found, strict=True) if not mentions(memories[0].text, q.answer)]
    assert not wrong


def judged(store: SpatialStore, encoder: BagOfWords, rows: tuple[Episode, ...], **config: object) -> dict[str, str]:
    """Reasons by id; a refused walk's in brackets."""

    def never(texts: object) -> np.ndarray:
        raise AssertionError("the gate of walks does not ask the language model")

    candidates = store.candidates(rows, encoder.encode([row.text for row in rows]))
    after, decisions = store.judge(candidates, never, GateConfig(**config))
    assert [row.gate_score for row in after.rows] == [d.score for d in decisions]
    assert all(0 <= row.salience <= 1 and d.kind == "spatial" for row, d in zip(after.rows, decisions, strict=True))
    return {d.episode_id: d.reason if d.accepted else f"({d.reason})" for d in decisions}


def test_the_gate_keeps_what_is_new_or_unexpected(places: SpatialStore, encoder: BagOfWords) -> None:
    rows = (
        walk("n0", "mill east barn", [3]),
        walk("n1", "mill east barn", [3]),
        walk("n2", "mill north chapel", [5.2]),
        walk("n3", "mill north chapel", [15]),
        walk("n4", "mill west chapel", [5]),
        walk("n5", "bakery west chapel", [5]),
        walk("n6", "mill north chapel east bakery", [5, 5]),
        walk("n7", "mill north chapel east bakery", [5, 5]),
        walk("n8", "mill north chapel east bakery", [1, 1], reached=False),
        walk("n9", "chapel south mill", [6], reward=True),
        walk("p0", "chapel south mill", [6], pin=True),
    )
    assert judged(places, encoder, rows, enforce=True) == {
        "n0": "novel",
        "n1": "(duplicate)",
        "n2": "(duplicate)",
        "n3": "surprising",
        "n4": "surprising",
        "n5": "novel",
        "n6": "novel",
        "n7": "(duplicate)",
        "n8": "surprising",
        "n9": "rewarded",
        "p0": "pinned",
    }


def test_an_older_version_does_not_make_a_walk_less_novel(places: SpatialStore, encoder: BagOfWords) -> None:
    assert judged(places, encoder, (walk("e1", "chapel east bakery", [5]),)) == {"e1": "novel"}
    assert judged(places, encoder, (walk("x1", "chapel east bakery", [5]),)) == {"x1": "(duplicate)"}


def test_the_threshold_and_weights_come_from_the_section(places: SpatialStore, encoder: BagOfWords) -> None:
    rows = (walk("n0", "mill east barn", [3]),)
    assert judged(places, encoder, rows, spatial=SpatialGateConfig(threshold=2.0)) == {"n0": "(weak)"}
    assert judged(places, encoder, rows, spatial=SpatialGateConfig(novelty=0.0)) == {"n0": "(weak)"}


def test_the_suite_passes_its_own_gate_and_repeats_do_not(config: StoreConfig, encoder: BagOfWords) -> None:
    suite = build_spatial(20, 1337)
    store = SpatialStore("default", config, EncoderIdentity(encoder.name, encoder.digest, encoder.dimension))
    facts = (*suite.taught, *suite.distractors)
    rows = tuple(episode_of(fact, source="suite", created=i) for i, fact in enumerate(facts))
    reasons = judged(store, encoder, tuple(replace(row, reward=False, pin=False) for row in rows), enforce=True)
    assert not any(reasons[fact.id].startswith("(") for fact in suite.taught)
    again = [reasons[fact.id] for fact in suite.distractors if fact.id.endswith("-again")]
    assert sum(reason.startswith("(") for reason in again) >= 0.7 * len(again)
