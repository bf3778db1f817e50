"""What answers say: the value that holds, intrusions, never told keys, gaps through the memory, intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.config import SleepWakeConfig
from pipeline.config.sleepwake_night import EpisodesConfig
from pipeline.sleepwake import measures
from pipeline.sleepwake.days import Days, day_streams, plan_days
from pipeline.sleepwake.facts import GAPS, Fact
from pipeline.sleepwake.measures import (
    arithmetic_shares,
    asked_rows,
    gap_facts,
    gap_rights,
    interval,
    share,
    unseen_figures,
)
from pipeline.sleepwake.recall import Reply, replies
from tests.sleepwake.tiny import sleepwake_model

TEXT = np.frombuffer(b"Words and words and words. " * 400, np.uint8)
TINY = EpisodesConfig(cycles=2, facts=4, guard_facts=2, examined=1, per_stream=4, length=128)
CHANGED = Fact("bakitu", ("1111", "2222"), (0, 1), 2, "interference")
UNSEEN = Fact("zumofi", (), (), 1, "unseen")


def answering(*texts: bytes) -> Any:
    return lambda *_: [Reply(text, 0.5) for text in texts]


@pytest.mark.parametrize(("cycle", "right", "intruded"), [(0, True, False), (1, False, True)])
def test_the_value_that_holds_is_right_and_an_older_one_intrudes(
    cycle: int, right: bool, intruded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "replies", answering(b"1111;"))
    (row,) = asked_rows(sleepwake_model(), "m", [CHANGED], cycle)
    assert (row["right"], row["intruded"]) == (right, intruded)


def test_never_told_keys_are_never_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "replies", answering(b"2222;", b"2222;"))
    rows = asked_rows(sleepwake_model(), "m", [UNSEEN, CHANGED], 1)
    assert [row["right"] for row in rows] == [False, True]
    assert unseen_figures(rows) == {"confidence": 0.5, "confidence_told": 0.0, "answers_of_others": 1.0}
    assert share(rows) == 0.5 and share([]) is None


def test_gaps_ask_every_fact_of_the_day_in_the_order_of_its_streams() -> None:
    days = plan_days(0, TINY)
    streams = day_streams(0, days, 0, TEXT, TINY)
    facts = gap_facts(days, streams)
    config = SleepWakeConfig(episodes=TINY, evaluation={"gap_session": 32})
    found = gap_rights(sleepwake_model(), streams, facts, TEXT, config)
    once = [fact for fact in days.facts if fact.told == (0,)]
    assert {fact.key for fact in facts} == {fact.key for fact in once} and len(facts) == len(once)
    assert set(found) == set(GAPS) and all(len(rights) == len(facts) for rights in found.values())


def test_what_the_memory_holds_is_lost_without_its_state() -> None:
    model = sleepwake_model()
    questions = [b"@bakitu=", b"@zumofi="]
    plain, other = replies(model, questions, [5, 5]), replies(model, list(reversed(questions)), [5, 5])
    assert [reply.text for reply in plain] == [reply.text for reply in reversed(other)]
    assert all(0 < reply.confidence <= 1 and len(reply.text) == 5 for reply in plain)


def test_an_interval_holds_the_mean_and_shrinks_with_facts() -> None:
    low, high = interval([1.0, 0.0] * 20, 500, 0)
    narrow = interval([1.0, 0.0] * 2000, 500, 0)
    assert low < 0.5 < high and narrow[1] - narrow[0] < high - low
    assert interval([1.0] * 5, 100, 0) == (1.0, 1.0)


def test_sums_are_held_out_and_told_by_operation() -> None:
    config = SleepWakeConfig(evaluation={"arithmetic": 40})
    found = arithmetic_shares(sleepwake_model(), config)
    assert set(found) == {"basic"} and set(found["basic"]) == {"all", *measures.NAMES.values()}


def test_days_without_guards_have_none() -> None:
    assert Days([CHANGED], []).guards(0) == []
