from __future__ import annotations

import pytest

from pipeline.errors import StoreError
from pipeline.evaluation.types import Memory, Retriever
from pipeline.stores import EpisodicStore, FixedRetriever, StoreRetriever
from tests.stores.examples import BagOfWords, Candidates

TEXTS = ("Mona Hale bought a lantern", "Silvio Petrakis sold a kettle")


def test_texts_come_back_and_are_counted(store: EpisodicStore, candidates: Candidates, encoder: BagOfWords) -> None:
    store.write(candidates(*TEXTS), enforce=False)
    retriever = StoreRetriever(store, encoder)
    asked: Retriever = retriever
    first, second, third = asked.retrieve(["who sold a kettle", "Silvio Petrakis", "zebra quantum ocean"], k=2)
    assert [m.text for m in first] == [TEXTS[1], TEXTS[0]] and first[0].score > first[1].score
    assert second[0].episode_id == "e1" and len(third) == 2
    assert (asked.requests, asked.hits) == (3, 2), "words that no episode shares are no hit"
    assert retriever.usage == {"e1": 2}
    assert (store.counters.recalls, store.counters.hits) == (3, 2)


def test_an_expected_episode_decides_the_hit(store: EpisodicStore, candidates: Candidates, encoder: BagOfWords) -> None:
    store.write(candidates(*TEXTS), enforce=False)
    retriever = StoreRetriever(store, encoder, expected={"who sold a kettle": "e0", "a lantern": "e0"})
    retriever.retrieve(["who sold a kettle", "a lantern"], k=1)
    assert (retriever.requests, retriever.hits, retriever.usage) == (2, 1, {"e0": 1})


def test_no_query_costs_nothing_and_an_empty_store_is_an_error(store: EpisodicStore, encoder: BagOfWords) -> None:
    with pytest.raises(StoreError, match="is empty"):
        StoreRetriever(store, encoder).retrieve(["x"], k=1)


def test_several_stores_are_asked_together_and_ranked_by_score(
    store: EpisodicStore, candidates: Candidates, encoder: BagOfWords
) -> None:
    other = EpisodicStore("day-02", store.config, store.encoder)
    store.write(candidates(TEXTS[0]), enforce=False)
    other.write(candidates(TEXTS[1], episode_id="x"), enforce=False)
    retriever = StoreRetriever([store, other], encoder)
    kettle, lantern = retriever.retrieve(["who sold a kettle", "who bought a lantern"], k=2)
    assert [m.episode_id for m in kettle] == ["x", "e0"] and [m.episode_id for m in lantern] == ["e0", "x"]
    assert (retriever.requests, retriever.hits, retriever.usage) == (2, 2, {"e0": 1, "x": 1})
    assert (store.counters.hits, other.counters.hits) == (1, 1)


def test_an_empty_store_beside_another_is_passed_over(
    store: EpisodicStore, candidates: Candidates, encoder: BagOfWords
) -> None:
    store.write(candidates(*TEXTS), enforce=False)
    empty = EpisodicStore("day-02", store.config, store.encoder)
    alone, beside = (StoreRetriever(asked, encoder) for asked in (store, [empty, store]))
    assert beside.retrieve(["who sold a kettle"], k=2) == alone.retrieve(["who sold a kettle"], k=2)


def test_settled_texts_come_back_in_order() -> None:
    retriever = FixedRetriever({"q": ["one", "two"], "none": []})
    asked: Retriever = retriever
    assert asked.retrieve(["none", "q"], k=1) == [[], [Memory("one", "", 1.0)]]
    assert (asked.requests, asked.hits) == (2, 1)
    with pytest.raises(KeyError):
        asked.retrieve(["unknown"], k=1)
