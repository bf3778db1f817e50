"""A day of messages as a suite: facts with test questions among messages that bring none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.config import SuiteConfig
from pipeline.errors import ConfigError
from pipeline.evaluation.prompts import leaked_answer
from pipeline.suites.episodic import build_episodic
from pipeline.suites.message_day import build_message_day
from pipeline.suites.registry import build_suite
from pipeline.suites.study_forms import STATEMENT_ONLY


@pytest.mark.parametrize("seed", [3, 2025])
def test_one_message_in_ten_tells_a_fact_and_only_facts_are_tested(seed: int) -> None:
    suite, events = build_message_day(12, seed), build_episodic(12, seed, "easy")
    facts = {fact.id: fact for fact in events.taught}
    told = [message for message in suite.taught if message.id in facts]
    assert sorted(told, key=lambda fact: fact.id) == sorted(events.taught, key=lambda fact: fact.id)
    assert {message.id for message in suite.taught if message.asked("test")} == facts.keys()
    kinds = Counter(message.id.split("-")[0] for message in suite.taught if message.id not in facts)
    assert kinds == {"duplicate": 18, "paraphrase": 30, "known": 18, "chat": 42}
    assert len({message.id for message in suite.taught}) == 120 and all(fact.consolidate for fact in suite.taught)
    assert suite.untaught == events.untaught and suite.statistics == events.statistics and not suite.distractors
    assert suite == build_message_day(12, seed)


def test_a_repetition_comes_after_its_fact_and_is_studied_in_the_same_questions() -> None:
    suite, seen = build_message_day(15, 4), {}
    for message in suite.taught:
        if message.id.startswith(("duplicate-", "paraphrase-")):
            said = seen[message.subject]
            assert (message.text == said.text) == message.id.startswith("duplicate-")
            assert message.text in (said.text, *said.statements) and not (message.pin or message.reward)
            trained = [(q.form, q.question, q.answer) for q in said.questions if q.split != "test"]
            assert [(q.form, q.question, q.answer) for q in message.questions] == trained
            assert {q.item_id for q in message.questions} == {message.id}
        elif message.relation != STATEMENT_ONLY:
            seen[message.subject] = message
    assert len(seen) == 15


def test_small_talk_is_studied_as_a_user_s_statements_are() -> None:
    talk = [message for message in build_message_day(15, 5).taught if message.relation == STATEMENT_ONLY]
    assert len(talk) == 76 and all(message.statements == (message.text,) for message in talk)
    questions = [question for message in talk for question in message.questions]
    assert len(questions) > 500 and not any(leaked_answer(question, question.question) for question in questions)


def test_it_has_a_name_and_no_test_forms_of_its_own() -> None:
    assert build_suite(SuiteConfig(name="messages", n=10), 1) == build_message_day(10, 1)
    with pytest.raises(ConfigError, match="no use for the suite 'messages'"):
        build_suite(SuiteConfig(name="messages", n=10, test_forms=Path("forms.yaml")), 1)
