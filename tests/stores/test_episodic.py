from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.config import StoreConfig
from pipeline.errors import StoreError
from pipeline.stores import EncoderIdentity, Episode, EpisodicStore
from tests.stores.examples import BagOfWords, Candidates

TEXTS = ("Mona Hale bought a lantern", "Silvio Petrakis sold a kettle", "Odalys Brandt lost a violin")


def test_writing_twice_writes_once(store: EpisodicStore, candidates: Candidates) -> None:
    first = store.write(candidates(*TEXTS), enforce=False)
    rows = store.episodes.rows
    second = store.write(candidates(*TEXTS, salience=0.9, accepted=False), enforce=True)
    assert first.written == ("e0", "e1", "e2") and second.reused == ("e0", "e1", "e2")
    assert store.episodes.rows == rows, "what is stored is reused, never refused"
    assert store.counts == {**dict.fromkeys(store.counts, 0), "writes": 3, "reused": 3}


def test_a_fact_repeated_within_one_writing_is_stored_once(store: EpisodicStore, candidates: Candidates) -> None:
    twice = candidates(TEXTS[0]).join(candidates(TEXTS[0]))
    report = store.write(twice, enforce=False)
    assert len(store) == 1 and report.reused == ("e0",)


def test_another_digest_replaces_and_starts_anew(
    store: EpisodicStore, candidates: Candidates, encoder: BagOfWords
) -> None:
    store.write(candidates(*TEXTS), enforce=False)
    store.fold_feedback({"e0": 3}, {"e0": True}, "run-1")
    report = store.write(candidates("Mona Hale bought a compass"), enforce=False)
    assert report.replaced == ("e0",) and report.written == () and store.counters.replaced == 1
    found = store.find("day-01", "e0")
    assert found is not None and (found.version, found.usage, found.passes) == (2, 0, 0)
    assert len(store) == 3
    best = store.recall(encoder.encode(["Mona Hale bought a compass"]), 1)[0][0]
    assert best.episode == found and best.score == pytest.approx(1.0, abs=1e-5)


def test_enforcement_refuses_and_recording_keeps(store: EpisodicStore, candidates: Candidates) -> None:
    assert store.write(candidates("Water is wet.", accepted=False), enforce=True).refused == ("e0",)
    assert len(store) == 0 and store.counters.refused == 1
    assert store.write(candidates("Water is wet.", accepted=False), enforce=False).written == ("e0",)
    assert not store.episodes.rows[0].accepted


def test_one_id_cannot_stand_for_two_things(store: EpisodicStore, candidates: Candidates) -> None:
    with pytest.raises(StoreError, match="'e0' of session 'day-01' comes twice with different content"):
        store.write(candidates("a").join(candidates("b")), enforce=False)
    store.write(candidates("a"), enforce=False)
    with pytest.raises(StoreError, match="two sessions, 'day-01' and 'day-02'"):
        store.write(candidates("a", session="day-02"), enforce=False)
    assert len(store) == 1


def test_recall_is_exact_cosine(store: EpisodicStore, candidates: Candidates, encoder: BagOfWords) -> None:
    store.write(candidates(*TEXTS), enforce=False)
    queries = encoder.encode(["who sold a kettle", "a lost violin"])
    oracle = queries @ encoder.encode(TEXTS).T
    for row, found in zip(oracle, store.recall(queries, 9), strict=True):
        order = np.argsort(-row, kind="stable")
        assert [r.episode.text for r in found] == [TEXTS[i] for i in order]
        np.testing.assert_allclose([r.score for r in found], row[order], rtol=1e-5)
    assert store.counters.recalls == 2


def crowd(n: int, candidates: int) -> tuple[EpisodicStore, np.ndarray, np.ndarray]:
    """A store of n vectors in 50 clusters, noisy queries, and the number of the nearest vector by brute force."""
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((50, 64))
    keys = centres[rng.integers(0, 50, n)] + 0.7 * rng.standard_normal((n, 64))
    keys = (keys / np.linalg.norm(keys, axis=1, keepdims=True)).astype(np.float32)
    queries = keys[:200] + 0.03 * rng.standard_normal((200, 64)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    config = StoreConfig(expansion=1024, active=32, candidates=candidates)
    store = EpisodicStore("s", config, EncoderIdentity("x", "0", 64))
    store.write(store.candidates([Episode(str(i), "s", "t", str(i)) for i in range(n)], keys), enforce=False)
    return store, queries, (queries @ keys.T).argmax(1)


def test_sparse_keys_nominate_the_nearest_of_thousands() -> None:
    """One per cent of the store, chosen by sparse code alone, holds what a brute-force search finds."""
    store, queries, nearest = crowd(5000, candidates=50)
    found = [int(row[0].episode.episode_id) for row in store.recall(queries, 1)]
    assert np.mean(np.array(found) == nearest) >= 0.99


def test_recall_returns_k_even_beyond_the_candidates() -> None:
    store, queries, _ = crowd(300, candidates=10)
    assert [len(row) for row in store.recall(queries[:2], 25)] == [25, 25]


def test_an_empty_store_says_what_to_do(store: EpisodicStore, encoder: BagOfWords) -> None:
    for ask in (lambda: store.recall(encoder.encode(["x"]), 1), lambda: store.complete(encoder.encode(["x"])[0])):
        with pytest.raises(StoreError, match=r"'day-01' is empty.*engram teach FILE --session day-01"):
            ask()


def test_bad_queries_are_errors(store: EpisodicStore, candidates: Candidates, encoder: BagOfWords) -> None:
    store.write(candidates("a"), enforce=False)
    with pytest.raises(StoreError, match="k of at least 1, found 0"):
        store.recall(encoder.encode(["a"]), 0)
    with pytest.raises(StoreError, match=r"shape \(n, 64\), found \(1, 3\)"):
        store.recall(np.ones((1, 3), np.float32), 1)


def test_a_partial_cue_is_completed(store: EpisodicStore, candidates: Candidates, encoder: BagOfWords) -> None:
    store.write(candidates(*TEXTS), enforce=False)
    cue = encoder.encode(["Silvio kettle"])[0]
    completion = store.complete(cue)
    key = encoder.encode([TEXTS[1]])[0]
    assert completion.episode.episode_id == "e1" and completion.share > 0.9
    assert completion.vector @ key > cue @ key


def test_forgotten_episodes_are_not_recalled(store: EpisodicStore, candidates: Candidates, encoder: BagOfWords) -> None:
    store.write(candidates(*TEXTS), enforce=False)
    assert store.forget("day-01", "e1") and not store.forget("day-01", "e1")
    assert not store.forget("day-02", "e0")
    found = store.recall(encoder.encode([TEXTS[1]]), 3)[0]
    assert {r.episode.episode_id for r in found} == {"e0", "e2"} and store.counters.forgotten == 1


def test_a_full_store_drops_the_least_salient_that_may_go(candidates: Candidates) -> None:
    store = EpisodicStore("day-01", StoreConfig(max_items=2, expansion=1024, active=32), EncoderIdentity("b", "0", 64))
    three = candidates(*TEXTS, consolidate=False)
    rows = [replace(row, salience=salience) for row, salience in zip(three.rows, (0.1, 0.9, 0.5), strict=True)]
    assert store.write(replace(three, rows=tuple(rows)), enforce=False).evicted == ("e0",)


def test_pinned_and_waiting_episodes_may_exceed_the_limit(candidates: Candidates) -> None:
    for changes in ({"pin": True}, {"consolidate": True}):
        store = EpisodicStore("s", StoreConfig(max_items=2, expansion=1024, active=32), EncoderIdentity("b", "0", 64))
        assert store.write(candidates(*TEXTS, **changes), enforce=False).evicted == () and len(store) == 3
