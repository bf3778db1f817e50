"""The retention matrix: who is asked, what a row holds, and how learning backwards is counted."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.evaluation.answers import score_answers
from pipeline.evaluation.arms import Ask
from pipeline.evaluation.retention import backward_transfer, retention_asks, retention_row, slow_asks, slow_figures
from pipeline.suites.episodic import build_episodic
from tests.evaluation.examples import Reply

FACTS = build_episodic(6, 3).taught
EARLIER = {1: FACTS[:2], 2: FACTS[2:4]}


def answers(right: set[str]) -> pa.Table:
    asks = retention_asks(EARLIER, 2, previous=True)
    replies = [Reply(ask.question.answer if ask.question.item_id in right else "nothing", 2, False) for ask in asks]
    return score_answers(asks, [ask.question.question for ask in asks], replies)


def test_every_fact_is_asked_in_test_forms_and_its_probe_before_and_after() -> None:
    asks = retention_asks(EARLIER, 2, previous=True)
    by_arm = {arm: [a for a in asks if a.arm == arm] for arm in {a.arm for a in asks}}
    assert {arm: len(found) for arm, found in by_arm.items()} == {
        "earlier_heldout": 8,
        "earlier_probe": 4,
        "earlier_probe_before": 4,
    }
    assert {a.question.split for a in by_arm["earlier_heldout"]} == {"test"}
    assert {a.question.split for a in by_arm["earlier_probe"]} == {"probe"}
    assert {a.model for a in by_arm["earlier_probe_before"]} == {"previous"}
    assert all(a.memories is None for a in asks), "the memory is off"
    assert not [a for a in retention_asks(EARLIER, 2, previous=False) if a.model == "previous"]


def test_a_row_holds_the_share_of_each_earlier_night() -> None:
    found = answers({FACTS[0].id, FACTS[2].id, FACTS[3].id})
    nights = {fact.id: number for number, taught in EARLIER.items() for fact in taught}
    assert retention_row(found, nights) == {"1": 0.5, "2": 1.0}


def test_a_fact_that_was_due_again_counts_for_its_first_night() -> None:
    again, new = FACTS[0], FACTS[4]
    asks = [Ask("post_off_heldout", question) for fact in (again, new) for question in fact.asked("test")[:2]]
    replies = [Reply(a.question.answer if a.question.item_id == new.id else "no", 2, False) for a in asks]
    scored = score_answers(asks, [a.question.question for a in asks], replies)
    assert retention_row(scored, {again.id: 1, new.id: 2}) == {"1": 0.0, "2": 1.0}


def test_the_average_over_nights_is_asked_the_same_and_scored_beside() -> None:
    asks = [*retention_asks(EARLIER, 2, previous=True), Ask("post_off_heldout", FACTS[4].asked("test")[0])]
    slow = slow_asks(asks)
    assert {a.model for a in slow} == {"slow"} and [a.arm for a in slow].count("slow_heldout") == 1
    assert [a.question for a in slow] == [a.question for a in asks if a.arm in ("earlier_heldout", "post_off_heldout")]
    both = [*asks, *slow]
    known = {"post": {FACTS[4].id}, "slow": {FACTS[0].id, FACTS[1].id}}
    replies = [
        Reply(a.question.answer if a.question.item_id in known.get(a.model, ()) else "nothing", 2, False) for a in both
    ]
    scored = score_answers(both, [a.question.question for a in both], replies)
    nights = {fact.id: number for number, taught in EARLIER.items() for fact in taught} | {FACTS[4].id: 3}
    assert slow_figures(scored, nights, 0.5) == {
        "slow": {
            "decay": 0.5,
            "retention": {"1": 1.0, "2": 0.0, "3": 0.0},
            "mean": pytest.approx(1 / 3),
            "fast_mean": pytest.approx(1 / 3),
        }
    }
    assert retention_row(scored, nights) == {"1": 0.0, "2": 0.0, "3": 1.0}
    assert slow_figures(scored.filter(pc.field("arm") != "slow_heldout"), nights, 0.5)["slow"]["mean"] == 0.5  # type: ignore
    assert slow_figures(answers(set()), nights, 0.5) == {}


def test_backward_transfer_compares_the_last_row_with_the_diagonal() -> None:
    matrix = {"1": {"1": 1.0}, "2": {"1": 0.8, "2": 0.9}, "3": {"1": 0.6, "2": 1.0, "3": 1.0}}
    assert backward_transfer(matrix) == pytest.approx(((0.6 - 1.0) + (1.0 - 0.9)) / 2)
    assert backward_transfer({"1": {"1": 1.0}}) is None and backward_transfer({}) is None
    ten = {str(i): {str(j): 1.0 for j in range(1, i + 1)} for i in range(1, 11)} | {"2": {"1": 1.0, "2": 0.5}}
    assert backward_transfer(ten) == pytest.approx(0.5 / 9), "night 10 comes after night 9"
