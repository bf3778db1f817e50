"""What a passage can be asked about, by rules alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.scoring import normalise
from pipeline.language.passages import LONGEST_SPAN, evidence, sentences, spans

TEXT = (
    "Richard Allen and Absalom Jones were licensed by St. George's Church in 1784.[2] Three years later, Allen led "
    'most of the black members out. On 15 February 1546, J. S. Luther preached for 45 minutes; "It was late." He left.'
)


def test_abbreviations_and_initials_end_no_sentence() -> None:
    assert sentences(TEXT) == [
        "Richard Allen and Absalom Jones were licensed by St. George's Church in 1784.",
        "Three years later, Allen led most of the black members out.",
        'On 15 February 1546, J. S. Luther preached for 45 minutes; "It was late.',
        "He left.",
    ]
    assert sentences("") == [] and sentences("No end") == ["No end"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Richard Allen and Absalom Jones", "name"),
        ("St. George's Church", "name"),
        ("1784", "date"),
        ("Three years", "number"),
        ("black members", "phrase"),
        ("15 February 1546", "date"),
        ("J. S. Luther", "name"),
        ("45 minutes", "number"),
    ],
)
def test_dates_numbers_names_and_phrases_are_found_whole(text: str, kind: str) -> None:
    assert (text, kind) in {(span.text, span.kind) for span in spans(sentences(TEXT))}


def test_every_sentence_has_its_turn_and_the_subject_asks_for_nothing() -> None:
    parts = sentences(TEXT)
    found = spans(parts, "Absalom Jones")
    assert [span.sentence for span in found[:3]] == [0, 1, 2]
    assert "Absalom Jones" not in {span.text for span in found}
    assert spans([], "") == []


def test_evidence_is_a_sentence_with_the_one_before_it() -> None:
    assert evidence(["A b.", "C d.", "E f."], 0) == "A b." and evidence(["A b.", "C d.", "E f."], 2) == "C d. E f."


@given(st.text(alphabet=st.sampled_from("abc ABC.,;19'(\u2013)%St"), max_size=80))
def test_spans_stand_in_their_sentence_once_each_and_are_short(text: str) -> None:
    parts = sentences(text)
    found = spans(parts)
    assert all(span.text in parts[span.sentence] and span.text.strip() for span in found)
    assert all(len(span.text.split()) <= LONGEST_SPAN for span in found)
    keys = [normalise(span.text) for span in found]
    assert len(set(keys)) == len(keys)
