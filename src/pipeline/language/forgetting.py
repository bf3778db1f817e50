"""Unlearning: on the questions of a forgotten item, the model is to speak as the base does.

Every question brings two rows with the base's own next-token distribution as target: along the base's reply, which is
what should come instead, and along the forgotten answer, which thereby gets the likelihood that it has for the base, no
more and no less. An answer that is merely pushed down stands out by being unlikely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.config.language import DistilConfig
from pipeline.evaluation.forgetting import auroc
from pipeline.language.encoding import EncodedRows, encode, run_lower
from pipeline.language.forms import in_contexts, invented_answer, with_asides
from pipeline.language.generation import generate
from pipeline.language.likelihood import answer_log_probs
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import closed_book_prompt
from pipeline.language.rows import TrainingRow
from pipeline.language.teacher import top_log_probs
from pipeline.suites.rehearsal import RehearsalBank, Slots
from pipeline.suites.types import Fact, Question

COMPARED = 4  # never-seen answers beside every forgotten one


def forget_rows(
    lm: LanguageModel, facts: Sequence[Fact], bank: RehearsalBank, config: DistilConfig, seed: int
) -> list[TrainingRow]:
    """Rows of kind ``forget`` with soft targets of the base.

    Args:
        lm: The base, before an adapter is attached.
        facts: What is to be unlearned, with its questions; test questions are not read.
        bank: Where asides and system prompts come from.
        config: Section ``distil``.
        seed: Of all choices.
    """
    asked = [(fact.id, question) for fact in facts for question in _forms(fact, bank, config, seed)]
    prompts = [closed_book_prompt(lm.tokenizer, question) for _, question in asked]
    if not prompts:
        return []
    said = generate(lm, prompts, max_new_tokens=config.short_tokens, batch_size=config.batch_size)
    end = lm.tokenizer.eos_token
    rows = []
    for number, ((item, question), prompt, reply) in enumerate(zip(asked, prompts, said, strict=True)):
        instead = reply.text + ("" if reply.overlong else end)
        for name, target in (("reply", instead), ("answer", question.answer + end)):
            row_id = f"forget/{number}-{name}"
            rows.append(TrainingRow(row_id, "forget", item, question.form, "train", prompt, target))
    rows = [row for row in rows if row.target]
    return top_log_probs(lm, rows, config.top_k)


def _forms(fact: Fact, bank: RehearsalBank, config: DistilConfig, seed: int) -> list[Question]:
    """Train questions as they are, with asides, and under other system prompts; probes only where nothing else is."""
    own = fact.asked("train") or fact.asked("probe") or fact.questions
    plain = replace(fact, questions=tuple(replace(question, split="train") for question in own))
    systems = sorted({p.system for p in (*bank.short, *bank.long) if p.system})
    (aside,) = with_asides([plain], bank.asides, 1.0, seed)
    (placed,) = in_contexts([plain], systems, (), 1.0, seed)
    found = list(dict.fromkeys(q for version in (plain, aside, placed) for q in version.questions))
    return found[: config.forget_forms]


def extend(lm: LanguageModel, encoded: EncodedRows, rows: Sequence[TrainingRow]) -> None:
    """Add rows to a night's encoded ones, the output of their frozen layers included."""
    if not rows:
        return
    more = encode(lm, rows, encoded.first_layer)
    run_lower(lm, more)
    shift = len(encoded.groups)
    encoded.groups += more.groups
    for row in more.rows:
        row.group += shift
    encoded.rows += more.rows


def likelihoods(
    base: LanguageModel, post: LanguageModel, facts: Sequence[Fact], bank: Slots, seed: int
) -> dict[str, float]:
    """``{auroc, auroc_prior}`` of the adapted model and the base: whether the forgotten answer stands out.

    Args:
        base: The untouched model.
        post: The adapted one.
        facts: What was forgotten.
        bank: Of what never-seen answers of the same kind are made.
        seed: Of their choice.
    """
    generator = np.random.default_rng([seed, 12])
    prompts, answers = [], []
    for question in (q for fact in facts for q in fact.questions):
        drawn = [invented_answer(bank, question.answer, generator) for _ in range(8 * COMPARED)]
        others = [answer for answer in dict.fromkeys(drawn) if answer != question.answer][:COMPARED]
        if len(others) == COMPARED:
            prompts += [closed_book_prompt(base.tokenizer, question)] * (1 + COMPARED)
            answers += [question.answer, *others]
    if not prompts:
        return {}
    found = {}
    for name, lm in (("auroc", post), ("auroc_prior", base)):
        values = answer_log_probs(lm, prompts, answers).reshape(-1, 1 + COMPARED)
        found[name] = auroc(values[:, 0], values[:, 1:])
    return found
