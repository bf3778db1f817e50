from __future__ import annotations

import pytest

from pipeline.stores import EpisodicStore
from pipeline.stores.upkeep import INTERVALS
from tests.stores.examples import Candidates


def test_salience_halves_over_the_half_life_unless_pinned(store: EpisodicStore, candidates: Candidates) -> None:
    half_life = store.config.half_life_nights
    store.write(candidates("a b c"), enforce=False)
    store.write(candidates("d e f", episode_id="pinned", pin=True), enforce=False)
    for _ in range(int(half_life)):
        store.decay()
    faded, pinned = store.episodes.rows
    assert faded.salience == pytest.approx(0.25) and pinned.salience == 0.5
    assert store.night == half_life


@pytest.mark.parametrize(
    ("changes", "passed", "gone"),
    [
        ({}, False, False),  # still waits for its first consolidation
        ({}, True, True),
        ({"pin": True}, True, False),
        ({"consolidate": False}, False, True),
        ({"consolidate": False, "salience": 0.5}, False, False),
    ],
)
def test_pruning_spares_pinned_and_unconsolidated(
    store: EpisodicStore, candidates: Candidates, changes: dict[str, object], passed: bool, gone: bool
) -> None:
    store.write(candidates("a b c", **{"salience": 0.01, **changes}), enforce=False)
    store.fold_feedback({}, {"e0": passed}, "run-1")
    assert store.prune() == (("e0",) if gone else ())
    assert (len(store), store.counters.pruned) == (int(not gone), int(gone))


def test_feedback_is_folded_once_per_run(store: EpisodicStore, candidates: Candidates) -> None:
    store.write(candidates("a b", "c d"), enforce=False)
    assert store.fold_feedback({"e0": 3, "unknown": 1}, {"e0": True, "e1": False}, "run-1", night=4)
    assert not store.fold_feedback({"e0": 3}, {"e0": True}, "run-1", night=4)
    used, unused = store.episodes.rows
    assert (used.usage, used.passes, used.due) == (3, 1, 5) and (unused.usage, unused.passes, unused.due) == (0, 0, 5)
    assert store.fold_feedback({"e0": 2}, {}, "run-2", night=2) and store.episodes.rows[0].usage == 5
    assert [row.last_used for row in store.episodes.rows] == [4, -1]


def test_spacing_expands_with_passes_and_falls_back(store: EpisodicStore, candidates: Candidates) -> None:
    store.write(candidates("a b"), enforce=False)
    waits = []
    for run, passed in enumerate([True, True, True, True, True, False, False, True]):
        night = 100 * run
        store.fold_feedback({}, {"e0": passed}, f"run-{run}", night=night)
        waits.append(store.episodes.rows[0].due - night)
    assert waits == [*INTERVALS, 8, 1, 1, 4]
    assert store.episodes.rows[0].passes == 6
