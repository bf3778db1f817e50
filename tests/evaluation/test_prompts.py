"""A closed book is closed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.errors import DataError
from pipeline.evaluation.arms import USE_ARMS, Ask
from pipeline.evaluation.prompts import check_closed_book, render
from pipeline.evaluation.types import Memory
from pipeline.evaluation.uses import use_asks
from pipeline.suites.episodic import build_episodic
from pipeline.suites.relational import build_relational
from pipeline.suites.spatial import build_spatial
from pipeline.suites.types import Question
from tests.evaluation.examples import closed_book_prompt, examine, memory_prompt, small_suite

SUITE = small_suite()
FACTS = {fact.id: fact for fact in SUITE.taught}
QUESTION = SUITE.taught[0].questions[0]  # Where did Mona Hale go? harbour


def check(question: Question, arm: str = "pre_off", prompt: str | None = None, boilerplate: str = "") -> None:
    check_closed_book([Ask(arm, question)], [prompt or closed_book_prompt(question)], FACTS, boilerplate)


def test_no_off_prompt_of_a_whole_examination_leaks() -> None:
    plan, prompts, _ = examine(SUITE, controls="full")
    check_closed_book(plan.asks, prompts, FACTS)
    by_item = {fact.id: fact.text for fact in SUITE.taught}
    for ask, prompt in zip(plan.asks, prompts, strict=True):
        if ask.memories is None and not ask.arm.startswith("sanity"):
            assert ask.question.answer not in prompt
            assert by_item.get(ask.question.item_id, "-") not in prompt


@pytest.mark.parametrize(
    "leaky",
    [
        replace(QUESTION, question="Was Mona Hale at the Harbour?"),
        replace(QUESTION, question="Was Mona Hale at the docks?", aliases=("Docks",)),
        replace(QUESTION, system="The harbour is far."),
        replace(QUESTION, history=(("Where are boats?", "In a harbour."),)),
        replace(QUESTION, answer="chapel", question=f"{FACTS['e0'].text} Where was that?"),
    ],
)
def test_a_leak_is_an_error_that_names_the_question(leaky: Question) -> None:
    with pytest.raises(DataError, match=r"closed book broken.*person_place/train-1"):
        check(leaky)


def test_a_prompt_that_adds_the_fact_is_an_error() -> None:
    with pytest.raises(DataError, match="closed book broken"):
        check(QUESTION, prompt=f"{FACTS['e0'].text} {QUESTION.question}")


def test_words_of_the_template_betray_nothing_but_those_of_the_question_do() -> None:
    helpful = replace(QUESTION, answer="helpful")
    check(helpful, boilerplate=closed_book_prompt(replace(QUESTION, question="")))
    with pytest.raises(DataError):
        check(helpful)
    with pytest.raises(DataError):
        check(replace(helpful, question="Who was helpful?"), boilerplate="Be helpful.")


def test_general_questions_and_open_books_are_not_checked() -> None:
    leaky = replace(QUESTION, question="Copy the word harbour.")
    check(leaky, arm="sanity_post")
    check_closed_book([Ask("memory_on", leaky, (Memory("harbour", "e0", 1.0),))], ["harbour"], FACTS)


def test_memory_prompts_hold_the_last_turn_and_the_memories() -> None:
    ask = Ask("memory_on", QUESTION, (Memory("One.", "a", 1.0), Memory("Two.", "b", 0.5)))
    rendered = render([ask, Ask("pre_off", QUESTION)], closed_book_prompt, memory_prompt)
    assert rendered == [memory_prompt(QUESTION.question, ["One.", "Two."]), closed_book_prompt(QUESTION)]


CLAIM = Question("e0", "person_place", "yes_no/person_place/test-1/yes", "test", "Yes or no: is the harbour it?", "Yes")


@pytest.mark.parametrize("arm", ["yes_no", "yes_no_pre", "yes_no_probe", "implied", "implied_pre"])
def test_a_verdict_may_stand_in_its_question_but_its_fact_may_not(arm: str) -> None:
    check(CLAIM, arm=arm)
    check(replace(CLAIM, answer="No"), arm=arm)
    with pytest.raises(DataError, match="closed book broken"):
        check(replace(CLAIM, question=f"Is it true that {FACTS['e0'].text} Yes or no?"), arm=arm)
    with pytest.raises(DataError, match="closed book broken"):
        check(replace(CLAIM, answer="harbour"), arm=arm)


@pytest.mark.parametrize("arm", ["pre_off", "post_off_heldout", "reversed", "tell", "untaught"])
def test_no_other_arm_may_say_yes_or_no_for_its_question(arm: str) -> None:
    with pytest.raises(DataError, match="closed book broken"):
        check(CLAIM, arm=arm)


@pytest.mark.parametrize("seed", [1, 77, 4242])
def test_no_use_of_a_generated_fact_opens_the_book(seed: int) -> None:
    for suite in (build_episodic(30, seed), build_relational(10, seed), build_spatial(20, seed)):
        asks = use_asks(suite, "full", 0, 0).asks
        check_closed_book(asks, [closed_book_prompt(ask.question) for ask in asks], {f.id: f for f in suite.taught})
        assert {ask.arm for ask in asks} == {arm for arms in USE_ARMS.values() for arm in arms}
