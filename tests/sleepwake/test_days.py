"""Days tell every fact once, between text, under keys that no two facts share."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pipeline.config.sleepwake_night import EpisodesConfig
from pipeline.errors import DataError
from pipeline.sleepwake.days import day_streams, days_of, episodes_table, filler, plan_days, streams_of, streams_table
from pipeline.sleepwake.facts import part_of

TEXT = np.frombuffer(b"Words and words and words. " * 400, np.uint8)
CONFIG = EpisodesConfig(cycles=3, facts=20, guard_facts=6, examined=2)


def test_keys_are_unique_and_guards_have_validation_keys() -> None:
    days = plan_days(0, CONFIG)
    keys = [fact.key for fact in (*days.facts, *days.guard_facts)]
    assert len(set(keys)) == len(keys)
    assert {part_of(fact.key) for fact in days.facts} == {"test"}
    assert {part_of(fact.key) for fact in days.guard_facts} == {"validation"}
    assert Counter(fact.told[0] for fact in days.of("recall")) == {0: 20, 1: 20, 2: 20}
    assert len(days.guards(1)) == 6 and len(days.of("unseen")) == 2


def test_a_day_tells_each_of_its_statements_once() -> None:
    days = plan_days(0, CONFIG)
    for cycle in range(3):
        lines = [line for stream in day_streams(0, days, cycle, TEXT, CONFIG) for line in stream.decode().split("\n")]
        told = Counter(line for line in lines if line.startswith("@"))
        wanted = [
            statement
            for fact in (*days.facts, *days.guard_facts)
            for statement, when in zip(fact.statements, fact.told, strict=True)
            if when == cycle
        ]
        assert told == Counter(wanted)


def test_streams_have_one_length_and_too_many_facts_are_refused() -> None:
    days = plan_days(0, CONFIG)
    assert {len(stream) for stream in day_streams(0, days, 0, TEXT, CONFIG)} == {512}
    with pytest.raises(DataError, match=r"lower episodes.per_stream"):
        day_streams(0, days, 0, TEXT, CONFIG.model_copy(update={"length": 100}))


def test_one_day_changes_no_value() -> None:
    days = plan_days(0, CONFIG.model_copy(update={"cycles": 1}))
    assert not days.of("interference") and all(fact.told in ((), (0,)) for fact in days.facts)


def test_tables_give_back_facts_and_streams() -> None:
    days = plan_days(0, CONFIG.model_copy(update={"part": "validation"}))
    assert days_of(episodes_table(days)) == days
    streams = [day_streams(0, days, cycle, TEXT, CONFIG) for cycle in range(2)]
    assert streams_of(streams_table(streams), 1) == streams[1]


def test_sessions_between_are_text_alone() -> None:
    found = filler(0, 1, 4, TEXT, 64)
    assert [len(session) for session in found] == [64] * 4 and found == filler(0, 1, 4, TEXT, 64)
    assert found != filler(0, 2, 4, TEXT, 64) and not any(b"@" in session for session in found)
