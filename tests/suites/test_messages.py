"""A day of messages: how many of each kind, in which order, from which half."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.suites.episodic import build_episodic
from pipeline.suites.messages import WORTH, day_of_facts, day_of_messages


def test_a_thousand_messages_of_which_a_hundred_are_worth_keeping() -> None:
    counts = Counter(message.kind for message in day_of_messages(1000, 100, 1337))
    assert counts == {
        "event": 40, "note": 40, "pinned": 10, "rewarded": 10,
        "duplicate": 150, "paraphrase": 250, "known": 150, "chat": 350,
    }  # fmt: skip


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6), st.integers(10, 40))
def test_a_day_is_whole_and_repeats_only_what_was_said(seed: int, worth: int) -> None:
    day = day_of_messages(3 * worth, worth, seed)
    assert len(day) == 3 * worth and len({message.fact.id for message in day}) == len(day)
    assert sum(message.worth for message in day) == worth
    said: dict[str, str] = {}
    for message in day:
        if message.repeats:
            assert message.repeats in said and message.kind in ("duplicate", "paraphrase")
            assert (message.fact.text == said[message.repeats]) == (message.kind == "duplicate")
        said[message.fact.id] = message.fact.text
        assert message.fact.pin == (message.kind == "pinned")
        assert message.fact.reward == (message.kind == "rewarded")
        assert not message.fact.questions
    assert day == day_of_messages(3 * worth, worth, seed)


def test_halves_share_no_small_talk_and_no_notes() -> None:
    halves = [
        {m.fact.text for m in day_of_messages(600, 60, 3, half) if m.kind in ("note", "known", "chat")}
        for half in ("dev", "test")
    ]
    assert min(map(len, halves)) > 100 and not halves[0] & halves[1]


def test_what_is_worth_keeping_is_said_in_its_own_words_first() -> None:
    firsts = [m.fact.text for m in day_of_messages(400, 40, 5) if m.kind in WORTH]
    assert len(set(firsts)) == len(firsts)


@pytest.mark.parametrize("worth", [0, 9, 51])
def test_too_few_or_too_many_are_refused(worth: int) -> None:
    with pytest.raises(DataError, match=f"10 to 50 messages worth keeping of 100, found {worth}"):
        day_of_messages(100, worth, 1)


def test_a_day_of_facts_tells_each_once_and_repeats_its_statements() -> None:
    facts = build_episodic(20, 7).taught
    day = day_of_facts(facts, 100, 7)
    own = {message.fact.id: message for message in day if message.worth}
    assert [own[fact.id].fact for fact in facts] == list(facts) and len(day) == 100
    for fact in facts:
        assert own[fact.id].kind == ("pinned" if fact.pin else "rewarded" if fact.reward else "event")
    assert {"pinned", "rewarded", "event"} == {message.kind for message in own.values()}
    said = [(m.fact.text, own[m.repeats].fact) for m in day if m.repeats]
    assert len(said) == int(80 / 6) + int(80 * 5 / 18) and all(text in (f.text, *f.statements) for text, f in said)
