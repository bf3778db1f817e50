"""The suite of a day of messages: what a night learns of the facts among them, by what the write gate keeps.

Of ten messages one tells a fact of the suite ``episodic``. The others say it again, word for word or in other words,
tell what everybody knows, or are small talk (`pipeline.suites.messages`). All of them are experiences that sleep may
replay, so that a night costs as much for small talk as for a fact: ``gate.enforce`` decides which of them it trains,
and `gate.random` is the control that keeps as many by chance. Only the facts themselves have test questions. What
repeats a fact is studied in the fact's own train questions; what only talks is studied as a user's own statements are,
in questions that follow by rule and in those that the sleeper asks itself.

    engram sweep gate
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.errors import ConfigError
from pipeline.suites.episodic import build_episodic
from pipeline.suites.messages import Message, day_of_facts
from pipeline.suites.registry import SuiteSettings, register_suite
from pipeline.suites.study_forms import with_study_forms
from pipeline.suites.types import Fact, Suite

MESSAGES_PER_FACT = 10


def build_message_day(n: int, seed: int) -> Suite:
    """Build a day.

    Args:
        n: Facts that are worth keeping; the day has `MESSAGES_PER_FACT` times as many messages.
        seed: Of facts and day.

    Raises:
        DataError: ``n`` is too large for the generator of facts.
    """
    suite = build_episodic(n, seed, "easy")
    facts = {fact.id: fact for fact in suite.taught}
    day = day_of_facts(suite.taught, MESSAGES_PER_FACT * n, seed)
    talk = with_study_forms([message.fact for message in day if not (message.worth or message.repeats)])
    studied = {fact.id: fact for fact in talk}
    lived = tuple(_experience(message, facts, studied) for message in day)
    share = f"{n} of {len(day)} messages tell a fact; the others are studied like facts, and have no test question"
    return replace(suite, name="messages", taught=lived, notes=(*suite.notes, share))


def _experience(message: Message, facts: Mapping[str, Fact], studied: Mapping[str, Fact]) -> Fact:
    """A message with the questions that it may be studied in."""
    if message.worth:
        return facts[message.fact.id]
    if not message.repeats:
        return studied[message.fact.id]
    said = facts[message.repeats]
    questions = tuple(replace(q, item_id=message.fact.id) for q in said.questions if q.split != "test")
    return replace(message.fact, subject=said.subject, relation=said.relation, questions=questions)


@register_suite("messages")
def build(config: SuiteSettings, seed: int) -> Suite:
    """The suite ``messages`` of a configuration."""
    if config.test_forms is not None:
        raise ConfigError("suite.test_forms has no use for the suite 'messages'; it is for the suite 'episodic'")
    return build_message_day(config.n, seed)
