"""Figures of facts put to use, against texts whose slots are counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from pipeline.evaluation.answers import score_answers
from pipeline.evaluation.arms import Ask
from pipeline.evaluation.usable import slot_values, told, usable_figures, values_in
from pipeline.evaluation.uses import use_asks
from pipeline.suites.episodic import build_episodic
from pipeline.suites.scenes import Scene
from pipeline.suites.types import NO
from tests.evaluation.examples import Reply

SCENES = [
    Scene("person_place", {"person": "Mona Hale", "thing": "lamp", "place": "harbour", "day": "3 May"}),
    Scene("person_thing", {"person": "Bo Rao", "thing": "oil lamp", "place": "mill", "day": "13 May"}),
]
VALUES = slot_values(SCENES)
SUITE = build_episodic(20, 4)


@pytest.mark.parametrize(
    ("text", "named", "contradicted"),
    [
        ("On 3 May, Mona Hale sold a lamp at the harbour.", 3, 0),
        ("Mona Hale sold the Lamp on the 3rd of May.", 2, 0),
        ("Mona Hale sold an oil lamp at the mill on 13 May.", 0, 3),
        ("She was at the harbour, not at the mill.", 1, 0),
        ("She was at the windmill and the harbourfront.", 0, 0),
        ("A lamp, an oil lamp.", 1, 0),
        ("On 30 May.", 0, 0),
        ("", 0, 0),
    ],
)
def test_slots_are_named_or_contradicted_by_the_suites_own_values(text: str, named: int, contradicted: int) -> None:
    assert told(text, SCENES[0], VALUES) == (named / 3, contradicted / 3)


def test_a_longer_value_hides_what_it_holds() -> None:
    assert values_in("an oil lamp", ["lamp", "oil lamp"]) == {"oil lamp"}
    assert values_in("an oil lamp, and lamp", ["lamp", "oil lamp"]) == {"oil lamp", "lamp"}
    assert values_in("the mill, mill", ["mill", ""]) == {"mill"}


def examined(answer: Callable[[Ask], str], prior_n: int = 4) -> pa.Table:
    asks = use_asks(SUITE, "default", 20, prior_n).asks
    return score_answers(asks, [ask.question.question for ask in asks], [Reply(answer(ask)) for ask in asks])


def test_a_perfect_memory_and_a_base_that_knows_nothing() -> None:
    answers = examined(lambda ask: "I see." if ask.model == "base" else f"{ask.question.answer}")
    figures = usable_figures(answers, SUITE.taught, 50)
    assert figures is not None and set(figures) == {
        "yes_no", "reversed", "implied", "tell_recall", "tell_contradicted",
    }  # fmt: skip
    for name, figure in figures.items():
        right = 0.0 if name == "tell_contradicted" else 1.0
        assert figure["value"] == right and figure["ci95"] == [right, right] and figure["n"] == 20
        assert figure["prior"] == 0.0 and figure["prior_n"] == 4
    assert figures["yes_no"]["by_gold"] == {"yes": 1.0, "no": 1.0} and "by_gold" not in figures["reversed"]


def test_who_says_yes_to_everything_is_right_half_the_time_and_it_shows() -> None:
    figures = usable_figures(examined(lambda ask: "Yes, no doubt about it."), SUITE.taught, 50)
    assert figures is not None and figures["yes_no"]["value"] == figures["yes_no"]["prior"] == 0.5
    assert figures["yes_no"]["by_gold"] == {"yes": 1.0, "no": 0.0}
    low, high = figures["yes_no"]["ci95"]
    assert low < 0.5 < high


def test_a_yes_or_no_alone_decides_a_verdict_and_nothing_else() -> None:
    def answer(ask: Ask) -> str:
        return f" {ask.question.answer.lower()}. That is what I was told." if ask.arm == "yes_no" else "No idea."

    rows = examined(answer).to_pylist()
    assert all(row["em"] == 1.0 for row in rows if row["arm"] == "yes_no")
    assert all(row["em"] == (row["gold"] == NO) for row in rows if row["arm"] in ("yes_no_pre", "implied"))
    assert any(row["gold"] not in ("Yes", NO) for row in rows if row["arm"] == "implied")
    assert all(row["em"] == 0.0 for row in rows if row["arm"] in ("reversed", "tell"))


def test_what_was_not_asked_is_absent() -> None:
    empty = examined(lambda ask: "x").slice(0, 0)
    assert usable_figures(empty, SUITE.taught) is None
    alone = usable_figures(examined(lambda ask: "x", prior_n=0), SUITE.taught, 20)
    assert alone is not None and alone["tell_recall"]["prior"] is None and alone["tell_recall"]["prior_n"] == 0
