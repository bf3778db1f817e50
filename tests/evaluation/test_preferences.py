"""ROUGE-L by arm, preferred paraphrases, and facts of the world before and after."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from pipeline.evaluation.arms import Ask
from pipeline.evaluation.preferences import PREFERENCES, long_answer_figures, preferred
from pipeline.suites.types import Question
from tests.evaluation.examples import Reply, examine, scripted, small_suite

WORLD = tuple(Question(f"w{i}", "world", "world", "test", f"What is thing {i}?", f"number {i}") for i in range(4))
SUITE = replace(small_suite(), world=WORLD)


def row(item: str, before: float, after: float, wrong: tuple[float, ...] = (-2.0, -1.0)) -> dict[str, object]:
    sides = {"right_pre": before, "wrong_pre": list(wrong), "right_post": after, "wrong_post": list(wrong)}
    return {"item_id": item, "right": "r", "wrong": ["a", "b"], **sides}


CHOICES = pa.Table.from_pylist(
    [row("a", -3.0, -0.5), row("b", -0.9, -0.9), row("c", -1.5, -1.0), row("d", -4.0, -3.0)], schema=PREFERENCES
)


def answer(ask: Ask) -> Reply:
    """Of four facts of the world the base knows three; the adapted model lost one of them and found the other."""
    if ask.arm.startswith("world"):
        known = {"world_pre": ("w0", "w1", "w2"), "world_post": ("w1", "w2", "w3")}[ask.arm]
        return Reply(f"It is {ask.question.answer}." if ask.question.item_id in known else "Who knows?")
    return scripted(ask)


def test_a_paraphrase_is_preferred_when_it_beats_every_wrong_answer() -> None:
    assert preferred(CHOICES, "pre").tolist() == [0, 1, 0, 0]
    assert preferred(CHOICES, "post").tolist() == [1, 1, 0, 0]  # c is a tie with the best wrong one


def test_every_figure_comes_with_its_number_of_questions() -> None:
    answers = examine(SUITE, answer)[2]
    found = long_answer_figures(answers, CHOICES, resamples=50)
    taught = found["long_answers"]["rouge_l"]["post_off"]
    assert found["rouge_l"] == taught["mean"] == 1.0 and taught["n"] == 16 and taught["ci95"] == [1.0, 1.0]
    assert found["long_answers"]["rouge_l"]["pre_off"]["mean"] == 0.0
    assert not {"world_pre", "sanity_post"} & set(found["long_answers"]["rouge_l"])
    assert found["paraphrase_preferred"] == 0.5
    chosen = found["long_answers"]["paraphrase_preferred"]
    assert (chosen["pre"], chosen["post"], chosen["n"]) == (0.25, 0.5, 4)
    assert found["world_facts"] == {"pre": 0.75, "post": 0.75, "delta": 0.0, "kept": pytest.approx(2 / 3), "n": 4}


def test_what_was_not_asked_is_absent() -> None:
    found = long_answer_figures(examine(small_suite())[2].slice(0, 0), CHOICES.slice(0, 0))
    assert found == {"long_answers": {"rouge_l": {}}}
