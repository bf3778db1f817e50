"""The relational store: paths as text, corrections, and everything that it shares with events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

import pipeline
from pipeline.artifacts import GenerationStore
from pipeline.config import StoreConfig
from pipeline.errors import StoreError
from pipeline.stores import StoreRetriever, load, metadata_of, save, store_class, store_kinds, to_table
from pipeline.stores.relational import RelationalStore
from tests.stores.examples import BagOfWords
from tests.stores.relational_examples import CHAIN, chain, edge, judged, relational_store, taught, told

BOUGHT, STORE, CITY = (row[-1] for row in CHAIN)
MOVED = edge("b2", "Quill Emporium", "is in", "Bel Cross", "Quill Emporium is now in Bel Cross.", time=9)
OTHERS = [
    edge("x", "Bo Lind", "bought at", "Hale Depot", "Bo Lind bought a lantern at Hale Depot.", about="lantern"),
    edge("y", "Hale Depot", "is in", "Orm Ferry", "Hale Depot is a store in the city of Orm Ferry."),
]


def test_the_kind_is_registered() -> None:
    assert "relational" in store_kinds() and store_class("relational") is RelationalStore


def test_a_question_about_one_hop_brings_that_hop() -> None:
    store = taught(*chain(), *OTHERS)
    assert told(store, "Where did Ana Voss buy a lantern?") == [BOUGHT]
    assert told(store, "In which city is Quill Emporium, the store?") == [STORE]
    assert told(store, "hask hollow is a city of which country") == [CITY]


def test_a_question_about_a_later_hop_brings_the_path_to_it() -> None:
    store = taught(*chain(), *OTHERS)
    question = "Ana Voss bought a lantern at a store in the city of a country, which is a city in the country of"
    assert told(store, question) == [f"{BOUGHT} {STORE} {CITY}"]
    short = taught(*chain())
    short.config = StoreConfig(expansion=1024, active=32, hops=2)
    assert told(short, question) == [f"{BOUGHT} {STORE}"]


def test_a_path_names_all_its_episodes_and_counts_as_use_of_each() -> None:
    store = taught(*chain())
    retriever = StoreRetriever(store, BagOfWords())
    question = "Ana Voss bought a lantern at a store in the city of"
    ((memory,),) = retriever.retrieve([question], 1)
    assert memory.episodes == ("a", "b") and retriever.usage == {"a": 1, "b": 1}


def test_what_the_question_names_counts_more_than_any_cosine() -> None:
    store = taught(*chain(), *OTHERS)
    assert told(store, "Somebody bought a lantern at Hale Depot: Bo Lind or not?")[0].startswith("Bo Lind")
    two = taught(*chain(), edge("k", "Ana Voss", "bought at", "Orm Depot", "Ana Voss got a knife.", about="knife"))
    assert told(two, "Where did Ana Voss buy the knife?", k=2) == ["Ana Voss got a knife.", BOUGHT]


def test_a_longer_name_hides_the_shorter_one_in_it() -> None:
    store = taught(*chain(), edge("s", "Voss", "is", "a river", "Voss is a river."))
    assert told(store, "Where did Ana Voss shop?", k=5) == [BOUGHT]


def test_a_question_that_names_only_a_tail_is_answered_backwards() -> None:
    assert told(taught(*chain(), *OTHERS), "Who was at the Quill Emporium?")[0].startswith("Quill Emporium")
    assert told(taught(chain()[0], *OTHERS), "Who was at the Quill Emporium?") == [BOUGHT]


def test_without_a_name_the_vectors_decide() -> None:
    store = taught(*chain(), *OTHERS)
    (found,) = store.recollect(["a city in the country"], BagOfWords().encode(["a city in the country"]), 2)
    assert found[0].text == CITY and found[0].score < 0.9 and len(found) == 2


def test_paths_end_where_a_circle_closes() -> None:
    store = taught(edge("1", "Ana", "likes", "Bo"), edge("2", "Bo", "likes", "Cy"), edge("3", "Cy", "likes", "Ana"))
    texts = told(store, "Ana likes Bo likes Cy likes Ana likes Bo", k=9)
    assert len(texts) == 3 and max(text.count(".") for text in texts) == 2, "the third edge leads back to the start"


def test_the_newest_valid_statement_answers_and_both_are_kept() -> None:
    store = taught(*chain(), MOVED)
    assert told(store, "Which city is Quill Emporium in?") == [MOVED.text]
    assert len(store) == 4 and store.graph.number_of_edges() == 4
    times = {data["time"]: data["current"] for _, _, data in store.graph.out_edges("quill emporium", data=True)}
    assert times == {0.0: False, 9: True}
    assert (
        told(store, "Ana Voss bought a lantern at a store that is now in Bel Cross, is it?")[0]
        == BOUGHT + " " + MOVED.text
    )


def test_a_doubtful_correction_does_not_answer() -> None:
    rumour = edge("b3", "Quill Emporium", "is in", "Trent", time=99, confidence=0.3)
    assert told(taught(*chain(), rumour), "Which city is Quill Emporium in?") == [STORE]


def test_an_outdated_statement_is_not_replayed() -> None:
    store = taught(*chain(), MOVED)
    replayed = RelationalStore.replayable(to_table(store.episodes))
    wanted = dict(zip(replayed["episode_id"].to_pylist(), replayed["consolidate"].to_pylist(), strict=True))
    assert wanted == {"a": True, "b": False, "c": True, "b2": True}
    assert replayed.drop_columns(["consolidate"]).equals(to_table(store.episodes).drop_columns(["consolidate"]))


def test_a_forgotten_correction_gives_way_to_what_it_corrected() -> None:
    store = taught(*chain(), MOVED)
    assert store.forget("day-01", "b2") and store.counters.forgotten == 1
    assert told(store, "Which city is Quill Emporium in?") == [STORE]
    assert RelationalStore.replayable(to_table(store.episodes))["consolidate"].to_pylist() == [True] * 3


def test_outdated_statements_fade_and_current_ones_wait_to_be_consolidated() -> None:
    store = taught(*chain(), MOVED)
    store.decay(300)
    assert store.prune() == ("b",)
    assert store.counters.pruned == 1 and told(store, "Which city is Quill Emporium in?") == [MOVED.text]
    store.fold_feedback({"a": 2}, {"a": True, "c": False}, "run-1")
    assert store.prune() == ("a",), "what passed its probe question may go, too"
    assert store.find("day-01", "c") is not None


def test_writing_is_idempotent_and_what_is_no_relation_is_refused_whole() -> None:
    store = taught(*chain())
    again = store.write(judged(store, chain())[0], enforce=False)
    assert again.reused == ("a", "b", "c") and len(store) == 3
    bad = judged(store, [edge("d", "Cy", "is in", "Trent")])[0]
    broken = store.candidates([row.__class__(**{**vars(row), "details": "{}"}) for row in bad.rows], bad.keys)
    with pytest.raises(StoreError, match="'d': expected a text in 'head'"):
        store.write(broken, enforce=False)
    assert len(store) == 3


def test_the_gate_can_refuse() -> None:
    store = relational_store()
    report = store.write(judged(store, [*chain(), edge("dup", *CHAIN[1][1:4])])[0], enforce=True)
    assert report.refused == ("dup",) and len(store) == 3 and store.counters.refused == 1


def test_an_empty_store_and_a_k_below_one_are_errors() -> None:
    with pytest.raises(StoreError, match="the relational store of session 'day-01' is empty"):
        told(relational_store(), "Where?")
    with pytest.raises(StoreError, match="k of at least 1"):
        told(taught(*chain()), "Where?", k=0)


def test_a_saved_store_opens_in_another_process(tmp_path: Path) -> None:
    store = taught(*chain(), MOVED)
    store.fold_feedback({"a": 2}, {"a": True}, "run-1")
    question = "Which city is Quill Emporium in?"
    told(store, question)
    generations = GenerationStore.of(tmp_path, "day-01", "relational")
    save(store, generations)
    back = load(generations, "day-01", store.config, store.encoder, "relational")
    assert isinstance(back, RelationalStore) and metadata_of(back) == metadata_of(store)
    assert back.episodes.rows == store.episodes.rows and nx.utils.graphs_equal(back.graph, store.graph)
    script = f"""
import json, numpy as np
from pathlib import Path
from pipeline.artifacts import GenerationStore
from pipeline.config import StoreConfig
from pipeline.stores import EncoderIdentity, load
store = load(GenerationStore(Path({str(generations.folder)!r})), "day-01", StoreConfig(expansion=1024, active=32),
             EncoderIdentity("bag-of-words", {store.encoder.digest!r}, 64), "relational")
vector = np.array([{BagOfWords().encode([question])[0].tolist()}], np.float32)
print(json.dumps([store.recollect([{question!r}], vector, 1)[0][0].text, store.counts["recalls"], store.night]))
"""
    path = os.pathsep.join(str(Path(folder).parent) for folder in pipeline.__path__)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert json.loads(done.stdout) == [MOVED.text, 2, 0]


def test_a_store_of_another_kind_does_not_open_as_this_one(tmp_path: Path) -> None:
    store = taught(*chain())
    generations = GenerationStore.of(tmp_path, "day-01", "relational")
    save(store, generations)
    with pytest.raises(StoreError, match="expected the episodic store of session 'day-01', found the relational"):
        load(generations, "day-01", store.config, store.encoder)
