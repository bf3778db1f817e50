"""TOFU: invented authors with twenty questions each, whose answers are whole sentences (Maini et al. 2024).

Taught are the question–answer pairs, as TOFU trains them. The taught question itself is the train form; its published
paraphrase is the held-out form, and a rewrite by rule the probe. Beside the answers, the suite brings what TOFU
measures: a paraphrased answer against five wrong ones, and facts of the world that must not be forgotten.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.catalogue.data import located
from pipeline.errors import ConfigError, DataError
from pipeline.evaluation.prompts import holds
from pipeline.language.rewrites import rewrite_question
from pipeline.suites.controls import all_controls, asked_of
from pipeline.suites.facts import capitalised_runs
from pipeline.suites.registry import SuiteSettings, register_suite
from pipeline.suites.rows import Row, each_row
from pipeline.suites.statistics import require_unambiguous, statistics
from pipeline.suites.types import Choice, Fact, Question, Split, Suite

RELATION = "tofu"
TAUGHT, HELD_BACK, PARAPHRASE = f"{RELATION}/taught", f"{RELATION}/held-back", f"{RELATION}/paraphrase"
PAIRS, PARAPHRASES, WORLD = "qa.jsonl", "paraphrase.jsonl", "world_facts.jsonl"


def _question(item: str, form: str, split: Split, text: str, answer: str) -> Question:
    return Question(item, RELATION, form, split, text, answer)


def read_pairs(path: Path, authors: range) -> dict[int, list[Row]]:
    """The question–answer rows of the authors, by author.

    Raises:
        DataError: A row is malformed, or an author is not there.
    """
    found: dict[int, list[Row]] = defaultdict(list)
    for row in each_row(path):
        author = row.values.get("author")
        if not isinstance(author, int):
            row.fail("author", f"expected a number, found {author!r}")
        row.text("question"), row.text("answer")
        found[author].append(row)
    if missing := [author for author in authors if author not in found]:
        raise DataError(f"{path}: suite.authors asks for author {missing[0]}, but there are {len(found)} authors")
    return {author: found[author] for author in authors}


def author_name(rows: Sequence[Row]) -> str:
    """The name that most of an author's answers hold: the longest of those that are equally frequent."""
    counts = Counter(run for row in rows for run in capitalised_runs(row.text("answer")) if " " in run)
    return max(counts, key=lambda run: (counts[run], len(run), run), default="")


def _facts(author: int, rows: Sequence[Row], paraphrases: Mapping[str, Row], seed: int) -> list[Fact]:
    name, facts = author_name(rows), []
    for number, row in enumerate(rows):
        identity, text, answer = f"author-{author:03d}-{number:02d}", row.text("question"), row.text("answer")
        subject = name if holds(text, name) else ""
        generator = np.random.default_rng([seed, author, number])
        asked = [_question(identity, TAUGHT, "train", text, answer)]
        for rewrite in rewrite_question(text, subject, 1, generator, answer):
            asked.append(_question(identity, HELD_BACK, "probe", rewrite, answer))
        if (other := paraphrases.get(text)) is not None:
            asked.append(_question(identity, PARAPHRASE, "test", other.text("paraphrased_question"), answer))
        facts.append(
            Fact(
                id=identity,
                text=f"{text} {answer}",
                subject=subject,
                relation=RELATION,
                statements=(answer,),
                questions=tuple(asked),
            )
        )
    return facts


def _choices(facts: Sequence[Fact], paraphrases: Mapping[str, Row]) -> tuple[Choice, ...]:
    """The paraphrased answer of every taught question against its wrong ones."""
    choices = []
    for fact in facts:
        (taught,) = fact.asked("train")
        row = paraphrases.get(taught.question)
        if row is None:
            continue
        wrong = row.texts("perturbed_answer")
        if not wrong:
            row.fail("perturbed_answer", "expected at least one wrong answer, found none")
        asked = _question(fact.id, TAUGHT, "test", taught.question, taught.answer)
        choices.append(Choice(asked, row.text("paraphrased_answer"), wrong))
    return tuple(choices)


def _world(path: Path) -> tuple[Question, ...]:
    return tuple(
        Question(f"world-{row.line:03d}", "world", "world", "test", row.text("question"), row.text("answer"))
        for row in each_row(path)
    )


def build_tofu(folder: Path, authors: range, seed: int) -> Suite:
    """The examination of some authors.

    Args:
        folder: Holds ``qa.jsonl``, ``paraphrase.jsonl`` and ``world_facts.jsonl``.
        authors: Which authors are taught, counted from 1.
        seed: Of the rewrites and of the controls.

    Raises:
        DataError: A file is missing or malformed, an author is not there, or a question is ambiguous.
    """
    paraphrases = {row.text("question"): row for row in each_row(folder / PARAPHRASES)}
    pairs = read_pairs(folder / PAIRS, authors)
    facts = [fact for author, rows in pairs.items() for fact in _facts(author, rows, paraphrases, seed)]
    require_unambiguous("tofu", [question for fact in facts for question in fact.questions])
    asked = {fact.id: asked_of(fact) for fact in facts}
    untested = sum(not fact.asked("test") for fact in facts)
    notes = (f"{untested} of {len(facts)} questions have no published paraphrase, so no held-out form",)
    return Suite(
        name="tofu",
        taught=tuple(facts),
        distractors=(),
        **all_controls(facts, asked, seed),
        statistics=statistics(facts),
        notes=notes if untested else (),
        world=_world(folder / WORLD),
        choices=_choices(facts, paraphrases),
    )


@register_suite("tofu")
def build(config: SuiteSettings, seed: int) -> Suite:
    """The suite ``tofu``: ``suite.authors`` of the folder ``suite.path``, or of the public data, whatever ``n`` is."""
    if config.test_forms is not None:
        raise ConfigError("suite.test_forms has no use for the suite 'tofu': its paraphrases are the test forms")
    folder = config.path if config.path is not None else located("tofu")
    return build_tofu(Path(folder), config.author_range, seed)
