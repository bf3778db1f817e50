"""Passages that are taught as they stand, and questions that nobody shows to the sleeper.

    {"title": "Rhine", "context": "The hydrography of the …", "questions": [{"question": "…", "answer": "…"}]}

Only ``context`` is taught; what sleep trains on beside it, it has to write itself (`pipeline.language.self_study`). All
questions are ``test``. A question such as "When was the construction?" has an answer only together with what it is
about, so every question is prefixed with its title, in every arm.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.catalogue.data import data_set
from pipeline.errors import ConfigError
from pipeline.evaluation.prompts import leaked_answer
from pipeline.evaluation.scoring import exact_match, normalise
from pipeline.suites.registry import SuiteSettings, register_suite
from pipeline.suites.rows import CHAT_TOKENS, Row, each_row
from pipeline.suites.statistics import statistics
from pipeline.suites.types import DOCUMENT, Fact, Question, Recall, Suite

_FIELDS = ("title", "context", "questions")
_QUESTION_FIELDS = ("question", "answer", "aliases")


@dataclass(frozen=True)
class Dropped:
    """Questions that no reader of the passages could be scored on.

    Attributes:
        leaked: They hold their own answer, title included.
        ambiguous: The same words are answered differently elsewhere in the file.
        repeated: The same words with the same answer came before.
    """

    leaked: int
    ambiguous: int
    repeated: int


def titled(title: str, text: str) -> str:
    """What is asked about a passage, with its title before it."""
    return f"{title}: {text}"


def read_documents(path: Path, forbidden: str = CHAT_TOKENS) -> tuple[list[Fact], Dropped]:
    """Read passages, in file order; a passage that repeats an earlier one is left out.

    Args:
        path: A file of JSON lines.
        forbidden: Regular expression of what no text may hold (chat-template tokens).

    Returns:
        One fact a passage, named by its line, and how many questions were dropped.

    Raises:
        DataError: A row is malformed; the message names file, line and field.
    """
    facts: dict[tuple[str, str], Fact] = {}
    for row in each_row(path, forbidden):
        fact = _passage(row)
        facts.setdefault((fact.subject, fact.text), fact)
    return _without_unanswerable(list(facts.values()))


def _passage(row: Row) -> Fact:
    row.check_fields(_FIELDS)
    identity, title = f"passage-{row.line:04d}", row.text("title")
    questions = []
    for number, asked in enumerate(row.rows("questions"), start=1):
        asked.check_fields(_QUESTION_FIELDS)
        questions.append(
            Question(
                item_id=identity,
                relation=DOCUMENT,
                form=f"{DOCUMENT}/test-{number}",
                split="test",
                question=titled(title, asked.text("question")),
                answer=asked.text("answer"),
                aliases=asked.texts("aliases"),
            )
        )
    return Fact(id=identity, text=row.text("context"), subject=title, relation=DOCUMENT, questions=tuple(questions))


def _without_unanswerable(facts: Sequence[Fact]) -> tuple[list[Fact], Dropped]:
    answers: dict[str, list[Question]] = defaultdict(list)
    for fact in facts:
        for question in fact.questions:
            answers[normalise(question.question)].append(question)
    counts: Counter[str] = Counter()

    def verdict(question: Question) -> str:
        first = answers[normalise(question.question)][0]
        if leaked_answer(question, question.question) is not None:
            return "leaked"
        if not all(exact_match(q.answer, first.answer, first.aliases) for q in answers[normalise(question.question)]):
            return "ambiguous"
        return "kept" if question is first else "repeated"

    kept = []
    for fact in facts:
        verdicts = [verdict(question) for question in fact.questions]
        counts.update(verdicts)
        asked = (q for q, found in zip(fact.questions, verdicts, strict=True) if found == "kept")
        kept.append(replace(fact, questions=tuple(asked)))
    return kept, Dropped(counts["leaked"], counts["ambiguous"], counts["repeated"])


def documents_path(path: Path | None) -> Path:
    """``suite.path``, or the public passages below ``$ENGRAM_DATA``.

    Raises:
        ConfigError: There are neither.
    """
    if path is not None:
        return path
    entry = data_set("squad")
    if entry.folder is None:
        raise ConfigError(
            "suite.path is missing: the suite 'documents' needs passages, for example --set suite.path=my.jsonl; "
            f"or set ENGRAM_DATA to a folder with squad/{entry.files[0]} (engram data pull squad)"
        )
    return entry.folder / entry.files[0]


def suite_of_documents(facts: Sequence[Fact], offset: int, count: int, notes: Sequence[str] = ()) -> Suite:
    """Teach some passages, and examine the night by them and by passages of other titles.

    Args:
        facts: All passages of the file.
        offset: Passages that are passed over at its start.
        count: How many are taught.
        notes: What a reader must know about the file.

    Returns:
        The suite. ``untaught`` asks about as many passages, of titles that are not taught; ``new`` shows them.
    """
    taught = facts[offset : offset + count]
    titles = {fact.subject for fact in taught}
    others = [fact for fact in (*facts[offset + count :], *facts[:offset]) if fact.subject not in titles][: len(taught)]
    asked = [fact for fact in others if fact.questions]
    return Suite(
        name="documents",
        taught=tuple(taught),
        distractors=(),
        untaught=tuple(question for fact in asked for question in fact.questions),
        near_miss=(),
        conflict=(),
        new=tuple(Recall(fact.text, replace(fact.questions[0], item_id=f"{fact.id}-new")) for fact in asked),
        statistics=statistics(taught),
        notes=(*notes, *_notes(taught, asked, count)),
    )


def _notes(taught: Sequence[Fact], others: Sequence[Fact], count: int) -> list[str]:
    notes = []
    if len(taught) < count:
        notes.append(f"the file has {len(taught)} passages where suite.n asks for {count}")
    if mute := sum(not fact.questions for fact in taught):
        notes.append(f"{mute} of {len(taught)} passages have no question")
    if not others:
        notes.append("no passage of the file has another title than the taught ones: nothing untaught is asked")
    return notes


@register_suite("documents")
def build_documents(config: SuiteSettings, seed: int) -> Suite:
    """The suite ``documents``: ``suite.n`` passages of ``suite.path`` from ``suite.offset`` on; ``seed`` has no use."""
    if config.test_forms is not None:
        raise ConfigError("suite.test_forms has no use for the suite 'documents': its file brings its own questions")
    path = documents_path(config.path)
    facts, dropped = read_documents(path)
    if config.offset >= len(facts):
        raise ConfigError(
            f"suite.offset: expected fewer than the {len(facts)} passages of {path}, found {config.offset}"
        )
    note = (
        f"of all questions of {path.name}, {dropped.leaked} were dropped because they hold their answer, "
        f"{dropped.ambiguous} because the same words have another answer elsewhere, {dropped.repeated} as repeated"
    )
    return suite_of_documents(facts, config.offset, config.n, [note])
