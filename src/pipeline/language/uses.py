"""Rows that put replayed facts to use: verified, the other way round, told freely, and what follows from them.

They are made by rule from the replayed facts alone, in train forms. Of claims every second one is false: with another
replayed fact's answer, or about a namesake of whom it was never told. So neither yes nor no is the better guess.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.language.contrast import namesakes
from pipeline.language.prompts import closed_book_prompt
from pipeline.language.rows import TrainingRow
from pipeline.suites.types import NO, USES, YES, Fact, Question
from pipeline.suites.uses import FactsInUse, form_of

KNOWN_FORMS = 1
"""Forms of each use of a fact that an earlier night consolidated."""


def use_rows(
    facts: Sequence[Fact],
    tokenizer: Any,
    count: int,
    donors: Sequence[str],
    seed: int,
    known: Collection[str] = (),
) -> list[TrainingRow]:
    """Rows of kind ``use``; a fact whose text no rule can read has none.

    Args:
        facts: What is replayed.
        tokenizer: Of the model.
        count: Train forms of each use and fact; a claim has a true and a false row in each form. 0 is off.
        donors: Other subjects, whose halves make namesakes.
        seed: Of all choices.
        known: Ids of facts that earlier nights consolidated, which have one form of each use at most.
    """
    if not count:
        return []
    replayed = FactsInUse(facts)
    subjects = frozenset(fact.subject for fact in facts) | frozenset(donors)
    rows: list[TrainingRow] = []
    for index, fact in enumerate(facts):
        generator = np.random.default_rng([seed, index, 11])
        forms = min(count, KNOWN_FORMS) if fact.id in known else count
        for use in USES:
            versions: dict[str, list[Question]] = defaultdict(list)
            for question in replayed.questions(fact.id, use, "train"):
                versions[form_of(question.form)].append(question)
            drawn = [list(versions.values())[i] for i in generator.permutation(len(versions))[:forms]]
            for number, same in enumerate(drawn):
                if len(same) > 1 and (index + number) % 2:
                    same = _about_a_namesake(same, fact.subject, donors, subjects, generator)
                rows += [
                    TrainingRow(
                        f"{fact.id}/{question.form}",
                        "use",
                        fact.id,
                        question.form,
                        "train",
                        closed_book_prompt(tokenizer, question),
                        question.answer + tokenizer.eos_token,
                    )
                    for question in same
                ]
    return rows


def _about_a_namesake(
    same: Sequence[Question],
    subject: str,
    donors: Sequence[str],
    known: frozenset[str],
    generator: np.random.Generator,
) -> list[Question]:
    """The true claim, and the same claim about a namesake of its subject in place of the false one, if it has any."""
    true = next(question for question in same if question.answer == YES)
    about = namesakes(true.question, subject, donors, known, 1, generator, int(generator.integers(2)))
    false = next(question for question in same if question.answer == NO)
    return [true, replace(false, question=about[0]) if about else false]
