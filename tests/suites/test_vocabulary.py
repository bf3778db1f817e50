"""The words of the generator: large slots, no collisions, no word that gives another away."""

from __future__ import annotations

from itertools import combinations

import pytest

from pipeline.evaluation.scoring import mentions
from pipeline.suites.chains import relational_vocabulary
from pipeline.suites.rehearsal import load_rehearsal
from pipeline.suites.sanity import load_sanity
from pipeline.suites.vocabulary import day_aliases, more_vocabulary, verbs, vocabulary, with_article
from pipeline.suites.walks import place_names


@pytest.mark.parametrize(("slot", "least"), [("first", 120), ("last", 120), ("place", 80), ("thing", 60), ("day", 60)])
def test_slots_are_large_and_plain(slot: str, least: int) -> None:
    values = vocabulary()[slot] + more_vocabulary().get(slot, ())
    assert len(vocabulary()[slot]) >= least and len({value.lower() for value in values}) == len(values)
    assert all(value.isascii() and value == value.strip() and "-" not in value for value in values)


def test_no_value_stands_inside_another() -> None:
    slots = ("first", "last", "place", "thing")
    words = [value.lower() for slot in slots for value in (*vocabulary()[slot], *more_vocabulary().get(slot, ()))]
    inside = [(a, b) for a, b in combinations(words, 2) if f" {a} " in f" {b} " or f" {b} " in f" {a} "]
    assert inside == []


def test_more_words_are_apart_from_all_that_is_asked_or_rehearsed() -> None:
    more = [value for values in more_vocabulary().values() for value in values]
    relations = {word for values in relational_vocabulary().values() for word in values}
    elsewhere = [*(relations - {*vocabulary()["first"], *vocabulary()["thing"]}), *place_names()]
    bank = load_rehearsal().slots
    known = [*elsewhere, *bank.first, *bank.last, *bank.thing, *bank.place]
    known += [phrase for q in load_sanity() for phrase in (q.subject, q.answer, *q.aliases)]
    for value in more:
        assert [other for other in known if mentions(other, value)] == []


def test_every_verb_has_four_forms() -> None:
    assert len({verb.base for verb in verbs()}) == len(verbs()) >= 20
    assert all(verb.gerund.endswith("ing") for verb in verbs())


@pytest.mark.parametrize(
    ("noun", "expected"),
    [("hourglass", "an hourglass"), ("ukulele", "a ukulele"), ("umbrella", "an umbrella"), ("saddle", "a saddle")],
)
def test_articles_follow_the_sound(noun: str, expected: str) -> None:
    assert noun in vocabulary()["thing"]
    assert with_article(noun) == expected


def test_ordinals() -> None:
    ends = {1: "st", 2: "nd", 3: "rd", 4: "th", 11: "th", 12: "th", 13: "th", 21: "st", 22: "nd", 23: "rd", 28: "th"}
    for day, end in ends.items():
        assert f"May {day}{end}" in day_aliases(f"{day} May")
