"""Random numbers by counter: SplitMix64's published outputs, and that nothing drawn repeats or overlaps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.needle.tasks.counters import Integers, below, distinct, placed, streams, substreams, uniform, words


def own(count: int, seed: int = 0) -> np.ndarray:
    return streams(seed, 0, np.arange(count))


def test_words_are_those_of_splitmix64() -> None:
    first = words(np.array([1234567], np.uint64), np.arange(5))
    assert first.tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_streams_differ_by_seed_split_index_and_purpose() -> None:
    every = [streams(seed, split, np.arange(50)) for seed in range(3) for split in range(3)]
    purposes = [substreams(part, number) for part in every for number in range(4)]
    drawn = np.concatenate([*every, *purposes])
    assert len(set(drawn.tolist())) == len(drawn)


@given(st.integers(1, 40), st.data())
def test_distinct_integers_are_distinct_and_in_range(bound: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, bound))
    found = distinct(own(20), bound, count)
    assert found.shape == (20, count) and ((found >= 0) & (found < bound)).all()
    assert all(len(set(row)) == count for row in found.tolist())


def test_every_ordered_choice_is_equally_likely() -> None:
    found = distinct(own(24_000), 4, 2)
    counts = np.bincount(found[:, 0] * 4 + found[:, 1], minlength=16).reshape(4, 4)
    assert np.diag(counts).sum() == 0
    assert _even(counts[~np.eye(4, dtype=bool)], 12)


def test_every_placement_is_equally_likely() -> None:
    found = placed(own(20_000), 7, 2, 2)  # 10 ways to put two blocks of two into seven
    kinds, counts = np.unique(found, axis=0, return_counts=True)
    assert all(first + 2 <= second <= 5 for first, second in kinds.tolist())
    assert _even(counts, 10)


def _even(counts: Integers, kinds: int) -> bool:
    """Whether counts are within five standard deviations of being equal."""
    expected = counts.sum() / kinds
    return len(counts) == kinds and bool((abs(counts - expected) < 5 * np.sqrt(expected)).all())


def test_integers_below_a_bound_and_fractions_are_even() -> None:
    drawn = words(own(30_000), np.zeros(1, np.int64))
    assert _even(np.bincount(below(drawn, 10)), 10)
    fractions = uniform(drawn)
    assert fractions.min() > 0 and fractions.max() <= 1 and _even(np.histogram(fractions, 10, (0, 1))[0], 10)
