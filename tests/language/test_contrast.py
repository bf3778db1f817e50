"""Namesakes: half of a taught subject, half of another, and never somebody who was taught."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.language.contrast import CONNECTORS, namesakes, replace_part, shape, subject_parts

firsts, lasts = st.sampled_from(["Ann", "Bo", "Anna", "Cy", "Li Ann"]), st.sampled_from(["Hale", "Ann", "Lund", "Bo"])
people = st.builds("{} {}".format, firsts, lasts)
things = st.builds(
    "{}{}{}".format, st.sampled_from(["lamp", "ink"]), st.sampled_from(CONNECTORS), st.sampled_from(["inn", "ark"])
)
subjects = st.one_of(people, things)


def made_of(own: str, other: str) -> set[str]:
    """The two subjects that share one half with ``own`` and have the other of ``other``."""
    (a, b), (c, d) = subject_parts(own) or ("", ""), subject_parts(other) or ("", "")
    return {shape(own).join((a, d)), shape(own).join((c, b))}


def overlapping(subject: str) -> bool:
    """Whether one half stands in the other, as in "Li Ann Ann": then both change."""
    a, b = subject_parts(subject) or ("", "")
    return bool(set(a.split()) & set(b.split()))


@settings(max_examples=300)
@given(
    subject=subjects,
    donors=st.lists(subjects, max_size=8),
    known=st.frozensets(subjects, max_size=6),
    count=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_a_namesake_shares_one_half_and_is_nobody_known(
    subject: str, donors: list[str], known: frozenset[str], count: int, seed: int
) -> None:
    everyone = known | {subject}
    question = f"Where did they see {subject} yesterday?"
    found = namesakes(question, subject, donors, everyone, count, np.random.default_rng(seed))
    assert len(found) == len(set(found)) <= count
    possible = {name for donor in donors if shape(donor) == shape(subject) for name in made_of(subject, donor)}
    for text in found:
        named = text.removeprefix("Where did they see ").removesuffix(" yesterday?")
        assert named not in everyone, text
        assert named in possible or overlapping(subject), text
    assert found == namesakes(question, subject, donors, everyone, count, np.random.default_rng(seed))


def test_halves_alternate() -> None:
    donors = [f"{first} {last}" for first in ("Bo", "Cy", "Di") for last in ("Lund", "Falk", "Rao")]
    for side in (0, 1):
        found = namesakes("Is Mona Hale in?", "Mona Hale", donors, frozenset(), 6, np.random.default_rng(0), side)
        assert ["Hale" in text for text in found] == [side == 0, side == 1] * 3
        assert all(("Mona" in text) != ("Hale" in text) for text in found)


@pytest.mark.parametrize(
    ("subject", "parts"),
    [
        ("Mona Hale", ("Mona", "Hale")),
        ("Mona van Hale", ("Mona van", "Hale")),
        ("silver ring at the mill", ("silver ring", "mill")),
        ("ring of the king of Spain", ("ring", "king of Spain")),
        ("Mona", None),
        ("", None),
        (" at the mill", None),
    ],
)
def test_a_subject_has_two_parts_or_none(subject: str, parts: tuple[str, str] | None) -> None:
    assert subject_parts(subject) == parts
    if parts is None:
        assert namesakes(f"Is {subject} in?", subject, ["Bo Lund"], frozenset(), 3, np.random.default_rng(0)) == []


@pytest.mark.parametrize(
    ("text", "part", "other", "expected"),
    [
        ("It was a ring.", "ring", "urn", "It was an urn."),
        ("An urn and an URN.", "urn", "ring", "A ring and a ring."),
        ("A ring fell.", "ring", "apple", "An apple fell."),
        ("the ring", "ring", "urn", "the urn"),
        ("ringing rings", "ring", "urn", None),
        ("Mona's ring (ring)", "ring", "cup", "Mona's cup (cup)"),
        ("Anna ring", "ring", "urn", "Anna urn"),
        (r"C++ x", "C++", r"\g<0>", r"\g<0> x"),
    ],
)
def test_a_part_is_replaced_as_whole_words_with_its_article(
    text: str, part: str, other: str, expected: str | None
) -> None:
    assert replace_part(text, part, other) == expected


def test_a_question_that_names_one_half_changes_that_half_or_nothing() -> None:
    donors = ["Bo Lund", "Cy Falk"]
    for seed in range(8):
        found = namesakes("Where is Mona?", "Mona Hale", donors, frozenset(), 2, np.random.default_rng(seed))
        assert set(found) <= {"Where is Bo?", "Where is Cy?"}
