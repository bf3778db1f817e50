"""Controls for facts that a user brings: the same questions about unknown subjects, and memories that differ.

A generated suite invents a twin with an answer of its own. Here the twin borrows the answer of another fact, so that EM
measures what a guess is worth; the share of twins that get the *taught* answer is reported as hallucination.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict

from pipeline.evaluation.prompts import leaked_answer
from pipeline.evaluation.scoring import exact_match, mentions
from pipeline.suites.types import Fact, Question, Recall
from pipeline.suites.vocabulary import vocabulary

Asked = Mapping[str, Sequence[Question]]
_NAME_PART = re.compile(r"[A-Z][\w'’-]*")


def asked_of(fact: Fact) -> tuple[Question, ...]:
    """The test questions of a fact, or its train questions where it has none."""
    return fact.asked("test") or fact.asked("train")


def _occurs(phrase: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(phrase)}(?!\w)", re.IGNORECASE)


def swap(text: str, old: str, new: str) -> str | None:
    """The text with every whole-word occurrence of a phrase replaced, or None where it has none."""
    changed, count = _occurs(old).subn(lambda match: new, text)
    return changed if count else None


class _Strangers:
    """Names of the shape of a given one that occur in no fact; each is handed out once."""

    def __init__(self, facts: Sequence[Fact], label: str) -> None:
        self._random = random.Random(label)
        self._known = "\n".join([f.text for f in facts] + [f.subject for f in facts]).lower()
        self._used: set[str] = set()
        self._unknown: dict[str, list[str]] = {}

    def part(self, slot: str) -> str:
        """A first or last name that no fact mentions, handed out before or not."""
        if slot not in self._unknown:
            self._unknown[slot] = [name for name in vocabulary()[slot] if not _occurs(name).search(self._known)]
        return self._random.choice(self._unknown[slot])

    def like(self, subject: str) -> str | None:
        """An unused name with as many parts as the subject; None for what does not look like a name."""
        parts = subject.split()
        if not 1 <= len(parts) <= 3 or not all(_NAME_PART.fullmatch(part) for part in parts):
            return None
        slots = ["first"] if len(parts) == 1 else ["first"] * (len(parts) - 1) + ["last"]
        for _ in range(100):
            name = " ".join(self.part(slot) for slot in slots)
            if name not in self._used:
                self._used.add(name)
                return name
        return None


def _borrowed(
    fact: Fact, question: Question, facts: Sequence[Fact], asked: Asked, generator: random.Random
) -> Question | None:
    """A question of another fact whose answer differs and does not stand in this one; None when there is none.

    It is of the fact's own relation if there is one, so that the answer is of the right kind.
    """
    donors = [
        (donor.relation == fact.relation, other)
        for donor in facts
        if donor.id != fact.id
        for other in asked[donor.id][:1]
        if not exact_match(other.answer, question.answer, question.aliases)
        and leaked_answer(other, question.question) is None
    ]
    alike = [other for same, other in donors if same] or [other for _, other in donors]
    return generator.choice(alike) if alike else None


def untaught(facts: Sequence[Fact], asked: Asked, seed: int) -> tuple[Question, ...]:
    """The same forms about unknown subjects; gold is another fact's answer, as if it were the twin's own."""
    strangers, generator = _Strangers(facts, f"{seed}/untaught"), random.Random(f"{seed}/untaught/answers")
    found = []
    for fact in facts:
        stranger = strangers.like(fact.subject) if fact.subject else None
        donor = _borrowed(fact, asked[fact.id][0], facts, asked, generator) if asked[fact.id] else None
        if stranger is None or donor is None:
            continue
        for question in asked[fact.id]:
            text = swap(question.question, fact.subject, stranger)
            if text is not None and leaked_answer(donor, text) is None:
                twin = replace(question, item_id=f"{fact.id}-untaught", question=text, split="test")
                found.append(replace(twin, answer=donor.answer, aliases=donor.aliases))
    return tuple(found)


def near_misses(facts: Sequence[Fact], asked: Asked, seed: int) -> tuple[Question, ...]:
    """The same forms about a namesake who shares the first or the last name, in turn; gold is the taught answer."""
    strangers = _Strangers(facts, f"{seed}/near-miss")
    found = []
    for number, fact in enumerate(facts):
        parts = fact.subject.split()
        if len(parts) != 2 or not all(_NAME_PART.fullmatch(part) for part in parts):
            continue
        first, last = parts
        namesake = f"{first} {strangers.part('last')}" if number % 2 == 0 else f"{strangers.part('first')} {last}"
        for question in asked[fact.id]:
            text = swap(question.question, fact.subject, namesake)
            if text is not None and leaked_answer(question, text) is None:
                found.append(replace(question, item_id=f"{fact.id}-near-miss", question=text, split="test"))
    return tuple(found)


def _retold(fact: Fact, facts: Sequence[Fact], asked: Asked, generator: random.Random) -> Recall | None:
    """The fact's text with another fact's answer in place of its own, and its first question."""
    if not asked[fact.id]:
        return None
    question = replace(asked[fact.id][0], split="test")
    donor = _borrowed(fact, question, facts, asked, generator)
    memory = None if donor is None else swap(fact.text, question.answer, donor.answer)
    if donor is None or memory is None or mentions(memory, question.answer):
        return None
    return Recall(memory, replace(question, answer=donor.answer, aliases=donor.aliases))


def conflicts(facts: Sequence[Fact], asked: Asked, seed: int) -> tuple[Recall, ...]:
    """Taught questions whose memory text states another fact's answer; only where the text holds its answer."""
    generator = random.Random(f"{seed}/conflict")
    told = ((fact, _retold(fact, facts, asked, generator)) for fact in facts)
    return tuple(
        Recall(recall.memory, replace(recall.question, item_id=f"{fact.id}-conflict"))
        for fact, recall in told
        if recall
    )


def new_facts(facts: Sequence[Fact], asked: Asked, seed: int) -> tuple[Recall, ...]:
    """Facts about strangers, told like a taught one with another answer; only where subject and answer stand in it."""
    strangers, generator = _Strangers(facts, f"{seed}/new"), random.Random(f"{seed}/new/answers")
    found = []
    for fact in facts:
        stranger = strangers.like(fact.subject) if fact.subject else None
        recall = _retold(fact, facts, asked, generator)
        if stranger is None or recall is None:
            continue
        memory = swap(recall.memory, fact.subject, stranger)
        text = swap(recall.question.question, fact.subject, stranger)
        if memory is not None and text is not None:
            found.append(Recall(memory, replace(recall.question, item_id=f"{fact.id}-new", question=text)))
    return tuple(found)


class Controls(TypedDict):
    """The fields of a `Suite` that hold controls."""

    untaught: tuple[Question, ...]
    near_miss: tuple[Question, ...]
    conflict: tuple[Recall, ...]
    new: tuple[Recall, ...]


def all_controls(facts: Sequence[Fact], asked: Asked, seed: int) -> Controls:
    """Every control of facts that bring none of their own.

    Args:
        facts: What is taught.
        asked: The questions of each fact, by its id, that a control asks in other ways.
        seed: Of the unknown names and of the answers that are borrowed.
    """
    return Controls(
        untaught=untaught(facts, asked, seed),
        near_miss=near_misses(facts, asked, seed),
        conflict=conflicts(facts, asked, seed),
        new=new_facts(facts, asked, seed),
    )
