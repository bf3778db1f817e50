"""From replayed facts to training rows: questions, statements, memory-ON prompts, and questions about namesakes."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from pipeline.config.language import DistilConfig
from pipeline.evaluation.prompts import holds
from pipeline.language.contrast import namesakes, replace_part, replace_subject, shape, subject_parts
from pipeline.language.prompts import START, closed_book_prompt, memory_prompt
from pipeline.language.rows import TrainingRow
from pipeline.suites.control_tokens import neutral_fact, tokens_of
from pipeline.suites.maps import DIRECTIONS
from pipeline.suites.rehearsal import Asides, Slots
from pipeline.suites.study_forms import STUDIED
from pipeline.suites.types import Fact, Question

MEMORY_TURNS = ("fact", "stranger", "contradiction", "stranger")  # what the texts of memory prompts tell, in turn
MONTHS = tuple(calendar.month_name[1:])
LARGEST = 10**12  # of invented numbers
T = TypeVar("T")


def fact_rows(
    facts: Sequence[Fact],
    tokenizer: Any,
    config: DistilConfig,
    seed: int,
    bank: Slots,
    strangers: Sequence[str] = (),
) -> list[TrainingRow]:
    """Learned rows of every fact: all train questions, the probe questions, statements and memory-ON prompts.

    Args:
        facts: What is replayed.
        tokenizer: Of the model.
        config: Section ``distil``.
        seed: Of all choices.
        bank: What invented answers of memory-ON prompts are made of.
        strangers: Subjects that nobody has, for memory-ON prompts about them.
    """
    end, tokens = tokenizer.eos_token, tokens_of(tokenizer)
    rows: list[TrainingRow] = []
    for index, fact in enumerate(neutral_fact(fact, tokens) for fact in facts):
        generator = np.random.default_rng([seed, index])
        for question in (*fact.asked("train"), *fact.asked("probe")):
            prompt = closed_book_prompt(tokenizer, question)
            name = f"{fact.id}/{question.form}"
            rows.append(
                TrainingRow(name, "question", fact.id, question.form, question.split, prompt, question.answer + end)
            )
        told = fact.statements if fact.relation in STUDIED else fact.statements[: config.statements]
        for number, statement in enumerate(told):
            name = f"{fact.id}/statement-{number}"
            rows.append(TrainingRow(name, "statement", fact.id, "statement", "train", START, statement + START))
        rows += _memory_rows(fact, config, bank, strangers, generator)
    return rows


def in_contexts(
    facts: Sequence[Fact], systems: Sequence[str], turns: Sequence[tuple[str, str]], share: float, seed: int
) -> list[Fact]:
    """Put a share of the train questions under another system prompt, after an unrelated turn, or both.

    Args:
        facts: What is replayed.
        systems: System prompts to choose from.
        turns: (user, assistant) exchanges about something else, the base's own.
        share: Part of the questions without a context of their own that get one.
        seed: Of all choices.
    """

    def place(question: Question, generator: np.random.Generator) -> Question:
        plain = question.system is None and not question.history
        if plain and generator.random() < share:
            which = int(generator.integers(3))
            if which != 1 and systems:
                question = replace(question, system=systems[int(generator.integers(len(systems)))])
            if which != 0 and turns:
                question = replace(question, history=(turns[int(generator.integers(len(turns)))],))
        return question

    return _with_train_questions(facts, place, (seed, 2))


def with_asides(facts: Sequence[Fact], asides: Asides, share: float, seed: int) -> list[Fact]:
    """Say something before a share of the train questions, after them, or both; it leaves what is asked as it is.

    Args:
        facts: What is replayed.
        asides: What to choose from; only a finished sentence is followed by one.
        share: Part of the questions that get one.
        seed: Of all choices.
    """

    def place(question: Question, generator: np.random.Generator) -> Question:
        if generator.random() >= share:
            return question
        text, which = question.question, int(generator.integers(3))
        if which != 1:
            text = f"{_one_of(asides.before, generator)} {text}"
        if which != 0 and text.endswith(("?", ".")):
            text = f"{text} {_one_of(asides.after, generator)}"
        return replace(question, question=text)

    return _with_train_questions(facts, place, (seed, 9))


def _with_train_questions(
    facts: Sequence[Fact], change: Callable[[Question, np.random.Generator], Question], key: tuple[int, int]
) -> list[Fact]:
    """Change every train question; each fact draws from a generator of its own, of (seed, purpose)."""
    seed, purpose = key
    changed = []
    for index, fact in enumerate(facts):
        generator = np.random.default_rng([seed, index, purpose])
        questions = tuple(change(q, generator) if q.split == "train" else q for q in fact.questions)
        changed.append(replace(fact, questions=questions))
    return changed


def _memory_rows(
    fact: Fact, config: DistilConfig, bank: Slots, strangers: Sequence[str], generator: np.random.Generator
) -> list[TrainingRow]:
    """The retrieved text decides: in turn it is the fact, tells of a stranger, or contradicts the fact.

    Strangers and contradictions have an invented answer, so that it can be had from the text alone.
    """
    # A question under another relation, such as a join, may have an answer that this text does not hold.
    questions = [q for q in fact.asked("train") if q.relation == fact.relation or holds(fact.text, q.answer)]
    if not questions:
        return []
    alike = [subject for subject in strangers if shape(subject) == shape(fact.subject)]
    rows = []
    for number in range(config.memory_forms):
        question = _one_of(questions, generator)
        asked, text, answer = question.question, fact.text, question.answer
        turn = MEMORY_TURNS[number % len(MEMORY_TURNS)]
        if turn != "fact":
            answer = invented_answer(bank, question.answer, generator)
            changed = replace_part(text, question.answer, answer)
            if changed is None or answer == question.answer:
                continue
            text = changed
        if turn == "stranger":
            if not alike:
                continue
            stranger = _one_of(alike, generator)
            told, about = (replace_subject(part, fact.subject, stranger) for part in (text, asked))
            if told is None or about is None:
                continue
            text, asked = told, about
        name, of = ("stranger", "") if turn == "stranger" else ("memory", fact.id)
        row_id, prompt = f"{fact.id}/{name}-{number}", memory_prompt(asked, [text])
        rows.append(TrainingRow(row_id, "memory", of, question.form, "train", prompt, f" {answer}\n"))
    return rows


def invented_answer(bank: Slots, answer: str, generator: np.random.Generator) -> str:
    """Another answer of the same kind: other numbers and months, a direction, a person, or a thing or place."""
    if answer in DIRECTIONS:
        return _one_of(DIRECTIONS, generator)
    if re.search(r"\d", answer):
        numbers = re.sub(r"\d+", lambda m: str(1 + generator.integers(max(9, min(int(m[0]), LARGEST)))), answer)
        return re.sub(rf"\b({'|'.join(MONTHS)})\b", lambda _: _one_of(MONTHS, generator), numbers)
    if answer[:1].isupper():
        return f"{_one_of(bank.first, generator)} {_one_of(bank.last, generator)}"
    return _one_of((*bank.thing, *bank.place), generator)


def _one_of(values: Sequence[T], generator: np.random.Generator) -> T:
    return values[int(generator.integers(len(values)))]


def namesake_questions(
    facts: Sequence[Fact], donors: Sequence[str], share: float, seed: int
) -> list[tuple[str, Question]]:
    """(fact id, question) pairs about people or things that share half of a replayed subject.

    A train question brings ``share`` of them, on average, under its own form's name, so that a step can train the two
    side by side. Of the two halves the last one changes twice as often: a model recognises people by how their name
    begins.

    Args:
        facts: What is replayed.
        donors: Other subjects that lend the other half.
        share: Variants per train question; 0.5 is one for every second question.
        seed: Of all choices.
    """
    known = frozenset(fact.subject for fact in facts) | frozenset(donors)
    pairs: list[tuple[str, Question]] = []
    for index, fact in enumerate(facts):
        generator = np.random.default_rng([seed, index, 1])
        phase = generator.random()
        for number, question in enumerate(fact.asked("train") if fact.subject else ()):
            side = 0 if number % 3 == 2 else 1
            count = int((number + 1) * share + phase) - int(number * share + phase)
            for text in namesakes(question.question, fact.subject, donors, known, count, generator, side):
                pairs.append((fact.id, replace(question, question=text)))
    return pairs


def invented_subjects(bank: Slots, subjects: Sequence[str], count: int, seed: int) -> list[str]:
    """Subjects that nobody has, of the shapes that ``subjects`` have: people, things at places, ways between places.

    Args:
        bank: Names, things and places of rehearsal.
        subjects: The replayed ones; what joins their parts joins the parts of the invented.
        count: How many of every shape.
        seed: Of all choices.
    """
    generator = np.random.default_rng([seed, 8])

    invented = []
    for joint in dict.fromkeys(shape(subject) for subject in subjects if subject_parts(subject)):
        heads, tails = _halves(bank, joint, subjects)
        invented += [joint.join((_one_of(heads, generator), _one_of(tails, generator))) for _ in range(count)]
    return invented


def _halves(bank: Slots, joint: str, subjects: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """What the first and the second parts of invented subjects are drawn from."""
    if joint == " ":
        return bank.first, bank.last
    if joint == " from the ":
        return bank.place, bank.place
    parts = [found for subject in subjects if shape(subject) == joint and (found := subject_parts(subject))]
    if all(head in DIRECTIONS for head, _ in parts):
        return DIRECTIONS, bank.place
    return bank.thing, bank.place
