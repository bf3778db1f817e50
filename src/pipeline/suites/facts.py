"""The user's own facts: JSON lines with a text, and questions when the user has some.

    {"id": "f1", "text": "On Friday Mona Hale bought a lantern at the harbour.", "session": "day-01",
     "reward": false, "pin": false, "subject": "Mona Hale",
     "questions": [{"question": "Where did Mona Hale buy the lantern?", "answer": "harbour", "aliases": [],
                    "split": "train"}]}

Only ``id`` and ``text`` are required. ``split`` is ``test`` unless the row says ``train`` or ``probe``. A question may
bring ``style``, ``system`` and ``history`` as well; other fields are ignored.
"""

from __future__ import annotations

import calendar
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from pipeline.config.section import check_name
from pipeline.errors import ConfigError, DataError
from pipeline.evaluation.prompts import holds, leaked_answer
from pipeline.evaluation.scoring import exact_match, normalise
from pipeline.suites.controls import all_controls, asked_of
from pipeline.suites.registry import SuiteSettings, register_suite
from pipeline.suites.rows import CHAT_TOKENS, Row, each_row
from pipeline.suites.statistics import statistics
from pipeline.suites.study_forms import LONGEST_NAME, STATEMENT_ONLY, own_questions, with_study_forms
from pipeline.suites.types import Fact, Question, Split, Style, Suite

SPLITS = ("train", "probe", "test")
STYLES = ("question", "cloze", "request", "statement")
_FACT_FIELDS = ("id", "text", "session", "reward", "pin", "subject", "questions")
_QUESTION_FIELDS = ("question", "answer", "aliases", "split", "style", "system", "history")
_CAPITALS = re.compile(r"[A-Z][\w'’-]*(?: [A-Z][\w'’-]*)*")
_DATES = frozenset([*calendar.day_name, *calendar.month_name[1:]])


@dataclass(frozen=True)
class _Placed:
    """A fact and the line it came from."""

    fact: Fact
    line: int


def read_facts(path: Path, session: str | None = None, forbidden: str = CHAT_TOKENS) -> list[Fact]:
    """Read the user's facts, in file order; a row that repeats an earlier one is dropped.

    Args:
        path: A file of JSON lines.
        session: The wake session of every row; None leaves each row its own, or ``default``.
        forbidden: Regular expression of what no text may hold (chat-template tokens).

    Raises:
        DataError: A row is malformed, an id is used twice for different content, or two rows answer the same question
            differently. The message names file, line and field.
    """
    placed: dict[tuple[str, str], _Placed] = {}
    for row in each_row(path, forbidden):
        fact = _fact(row, session)
        known = placed.setdefault((fact.session, fact.id), _Placed(fact, row.line))
        if known.fact != fact:
            row.fail("id", f"{fact.id!r} names other content in line {known.line} of session {fact.session!r}")
    _require_one_answer(path, list(placed.values()))
    return [found.fact for found in placed.values()]


def _fact(row: Row, session: str | None) -> Fact:
    row.check_fields(_FACT_FIELDS)
    identity, text = row.identifier("id"), row.text("text")
    own_session = row.optional("session") or "default"
    try:
        check_name(session or own_session, "session")
    except ConfigError as error:
        row.fail("session", str(error))
    questions: list[Question] = []
    counts: Counter[str] = Counter()
    for asked in row.rows("questions"):
        split = cast(Split, asked.choice("split", SPLITS, "test"))
        counts[split] += 1
        questions.append(_question(asked, identity, split, counts[split]))
    return Fact(
        id=identity,
        text=text,
        session=session or own_session,
        subject=row.optional("subject") or guessed_subject(text, [q.question for q in questions]),
        reward=row.flag("reward"),
        pin=row.flag("pin"),
        questions=tuple(questions),
    )


def _question(row: Row, item_id: str, split: Split, number: int) -> Question:
    row.check_fields(_QUESTION_FIELDS)
    question = Question(
        item_id=item_id,
        relation="fact",
        form=f"fact/{split}-{number}",
        split=split,
        question=row.text("question"),
        answer=row.text("answer"),
        aliases=row.texts("aliases"),
        style=cast(Style, row.choice("style", STYLES, "question")),
        system=row.optional("system"),
        history=row.history(),
    )
    if not normalise(question.question):
        row.fail("question", "expected words, found punctuation and articles alone")
    for field, text in _shown(question):
        leak = leaked_answer(question, text)
        if leak is not None:
            row.fail(field, f"holds its own answer {leak!r}, so it needs no memory; rephrase it")
    return question


def _shown(question: Question) -> list[tuple[str, str]]:
    """Every text that a closed-book prompt shows, with its field."""
    turns = [(f"history[{i}]", text) for i, pair in enumerate(question.history) for text in pair]
    return [("question", question.question), ("system", question.system or ""), *turns]


def _require_one_answer(path: Path, placed: Sequence[_Placed]) -> None:
    first: dict[str, tuple[_Placed, Question]] = {}
    for found in placed:
        for question in found.fact.questions:
            known, earlier = first.setdefault(normalise(question.question), (found, question))
            if exact_match(question.answer, earlier.answer, earlier.aliases):
                continue
            if exact_match(earlier.answer, question.answer, question.aliases):
                continue
            raise DataError(
                f"{path}:{found.line}: field 'questions': {question.question!r} is answered {question.answer!r}, "
                f"but {earlier.answer!r} in line {known.line}; name the subject so that each question has one answer"
            )


def capitalised_runs(text: str) -> set[str]:
    """Every run of at most `LONGEST_NAME` capitalised words, and every part of one; possessives lose their ending.

    A single word that begins the text is capitalised by rule and left out.
    """
    found = set()
    for match in _CAPITALS.finditer(text):
        words = re.sub(r"['’]s\b", "", match.group()).split()
        spans = [(i, j) for i in range(len(words)) for j in range(i + 1, min(i + LONGEST_NAME, len(words)) + 1)]
        found |= {" ".join(words[i:j]) for i, j in spans if j - i > 1 or match.start() + i > 0}
    return found


def guessed_subject(text: str, questions: Sequence[str]) -> str:
    """The name that the text and all questions share; empty when there is none, or more than one equally long.

    A word that only begins a question counts as capitalised by rule, not as a name; so do weekdays and months.
    """
    if not questions:
        return ""
    common = set.intersection(*map(capitalised_runs, questions))
    shared = {name for name in common if holds(text, name) and name not in _DATES}
    longest = max((len(name.split()) for name in shared), default=0)
    names = [name for name in shared if len(name.split()) == longest]
    return names[0] if len(names) == 1 else ""


def _distinct_ids(facts: Sequence[Fact]) -> list[Fact]:
    """Facts whose ids are unique in the suite: an id that several sessions use is prefixed with its session."""
    counts = Counter(fact.id for fact in facts)
    named = []
    for fact in facts:
        identity = fact.id if counts[fact.id] == 1 else f"{fact.session}/{fact.id}"
        questions = tuple(replace(question, item_id=identity) for question in fact.questions)
        named.append(replace(fact, id=identity, questions=questions))
    return named


def _notes(facts: Sequence[Fact], studied: Sequence[Fact]) -> tuple[str, ...]:
    """What a reader must know: ``facts`` as the user wrote them, ``studied`` with the forms that training adds."""
    notes = []
    untested = [fact for fact in facts if fact.questions and not fact.asked("test")]
    if untested:
        notes.append(f"{len(untested)} of {len(facts)} facts have no test question; train questions stand in for them")
    mute = sum(not fact.questions for fact in facts)
    if mute:
        notes.append(f"{mute} of {len(facts)} facts have no question; only what their text itself asks can score them")
    untrained = sum(not fact.asked("train") for fact in facts)
    if untrained:
        notes.append(
            f"{untrained} of {len(facts)} facts have no train question: they are trained on their statement and on "
            f"questions that it answers, and counted apart as relation {STATEMENT_ONLY}"
        )
    trained = {normalise(q.question) for fact in studied for q in fact.questions if q.split != "test"}
    repeated = sum(normalise(q.question) in trained for fact in facts for q in fact.asked("test"))
    if repeated:
        notes.append(f"{repeated} test questions repeat a train or probe question word for word; they are not held out")
    return tuple(notes)


def suite_of_facts(facts: Sequence[Fact], seed: int, name: str = "facts") -> Suite:
    """The examination of the user's facts, with forms to study them in, and controls where they can be derived.

    Args:
        facts: What is taught.
        seed: Seed of the unknown names and of the answers that controls borrow.
        name: The suite's name.
    """
    given = [own_questions(fact) for fact in _distinct_ids(facts)]
    taught = with_study_forms(given)
    asked = {fact.id: asked_of(own) or fact.asked("train")[:1] for own, fact in zip(given, taught, strict=True)}
    examined = [own if own.questions else fact for own, fact in zip(given, taught, strict=True)]
    studied = {fact.id: [q.question for q in fact.questions if q.split != "test"] for fact in taught}
    return Suite(
        name=name,
        taught=tuple(taught),
        distractors=(),
        **all_controls(taught, asked, seed),
        statistics=statistics(_related(examined, taught), studied),
        notes=_notes(given, taught),
    )


def _related(facts: Sequence[Fact], like: Sequence[Fact]) -> list[Fact]:
    """The facts under the relations of their namesakes in ``like``."""
    return [replace(fact, relation=other.relation) for fact, other in zip(facts, like, strict=True)]


@register_suite("facts")
def build_facts(config: SuiteSettings, seed: int) -> Suite:
    """The suite ``facts``: every row of ``suite.path``, whatever ``suite.n`` says."""
    if config.path is None:
        raise ConfigError(
            "suite.path is missing: the suite 'facts' needs a file, for example --set suite.path=my.jsonl"
        )
    if config.test_forms is not None:
        raise ConfigError("suite.test_forms has no use for the suite 'facts': its file brings its own test questions")
    return suite_of_facts(read_facts(Path(config.path)), seed)
