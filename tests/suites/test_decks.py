"""Decks deal every value equally often, in an order that only the label decides."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.suites.decks import Deck


@given(size=st.integers(1, 40), rounds=st.integers(1, 4), extra=st.integers(0, 39))
def test_no_value_is_dealt_more_often_than_needed(size: int, rounds: int, extra: int) -> None:
    deck = Deck(range(size), "label")
    counts = Counter(deck.draw() for _ in range(size * rounds + extra % size))
    assert max(counts.values()) - min(counts[value] for value in range(size)) <= 1


@given(label=st.text())
def test_the_label_alone_decides_the_order(label: str) -> None:
    first, second = (Deck(range(30), label) for _ in range(2))
    assert [first.draw() for _ in range(60)] == [second.draw() for _ in range(60)]


def test_values_passed_over_come_next() -> None:
    deck = Deck(range(10), "x")
    odd = [deck.draw(lambda value: value % 2 == 1) for _ in range(5)]
    rest = [deck.draw() for _ in range(5)]
    assert sorted(odd) == [1, 3, 5, 7, 9] and sorted(rest) == [0, 2, 4, 6, 8]


def test_nothing_acceptable_is_an_error() -> None:
    with pytest.raises(DataError, match="ran out"):
        Deck(range(3), "x").draw(lambda value: value > 5)


def test_more_values_come_when_none_of_the_first_is_acceptable_and_change_nothing_before() -> None:
    plain, long = Deck(range(4), "x"), Deck(range(4), "x", more=range(4, 8))
    assert [plain.draw() for _ in range(20)] == [long.draw() for _ in range(20)]
    assert long.draw(lambda value: value > 3) in range(4, 8)
    assert set(range(4, 8)) < {long.draw() for _ in range(16)}
    with pytest.raises(DataError, match="8 values"):
        long.draw(lambda value: value > 7)
