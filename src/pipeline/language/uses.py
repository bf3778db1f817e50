"""Rows that put replayed facts to use: verified, the other way round, told freely, and what follows from them.

They are made by rule from the replayed facts alone, in train forms. Of claims every second one is false: with another
replayed fact's answer, or about a namesake of whom it was never told. So neither yes nor no is the better guess. A
verdict recalls first what is true ("auction house, so no"): the recalled words, once written, are compared with the
claim, where a bare yes or no would have to come out of the weights in one step.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.language.contrast import namesakes
from pipeline.language.prompts import closed_book_prompt
from pipeline.language.rows import TrainingRow
from pipeline.suites.control_tokens import neutral_fact, tokens_of
from pipeline.suites.rehearsal import RehearsalPrompt
from pipeline.suites.types import NO, USES, YES, Fact, Question
from pipeline.suites.uses import FactsInUse, form_of, told_about

SUBJECT = re.compile(r"(?:What|Who) (?:is|are|was|were) ([^,?]+)\?")
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
    facts = [neutral_fact(fact, tokens_of(tokenizer)) for fact in facts]
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
            for number, versions_of_form in enumerate(drawn):
                same = [replace(question, answer=_judged(question, fact)) for question in versions_of_form]
                if len(same) > 1 and (index + number) % 2:
                    same[1] = _about_a_namesake(same, fact.subject, donors, subjects, generator)
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


def _judged(question: Question, fact: Fact) -> str:
    """The answer to a use; a yes or no comes after what is recalled."""
    if question.answer not in (YES, NO):
        return question.answer
    recalled = next((q.answer for q in fact.questions if q.relation == fact.relation), "")
    return f"{recalled}, so {question.answer.lower()}" if recalled else question.answer


def told_prompts(known: Sequence[RehearsalPrompt], strangers: Sequence[str], count: int, seed: int) -> list[str]:
    """Requests to tell about what is no fact of ours: things of everyday questions, and invented subjects, in turn.

    Args:
        known: Short general questions; those of the kind "What is soil?" have a subject.
        strangers: Subjects that nobody has.
        count: How many prompts.
        seed: Of the choice.
    """
    generator = np.random.default_rng([seed, 12])
    things = [found.group(1) for prompt in known if (found := SUBJECT.fullmatch(prompt.prompt))]
    pools = [pool for pool in (things, strangers) if pool]
    prompts = []
    for number in range(count if pools else 0):
        pool = pools[number % len(pools)]
        forms = told_about(pool[int(generator.integers(len(pool)))])
        prompts.append(forms[int(generator.integers(len(forms)))])
    return list(dict.fromkeys(prompts))


def _about_a_namesake(
    same: Sequence[Question],
    subject: str,
    donors: Sequence[str],
    known: frozenset[str],
    generator: np.random.Generator,
) -> Question:
    """The true claim about a namesake, of whom there is nothing to recall; the false one where there is no namesake."""
    true, false = same
    about = namesakes(true.question, subject, donors, known, 1, generator, int(generator.integers(2)))
    return replace(false, question=about[0], answer=NO) if about else false
