"""Which of several answers a model holds for likelier: the right one, or those that claim something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import pyarrow as pa

from pipeline.evaluation.preferences import PREFERENCES
from pipeline.language.likelihood import answer_log_probs
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import closed_book_prompt
from pipeline.suites.types import Choice


def preference_table(
    base: LanguageModel,
    post: LanguageModel,
    choices: Sequence[Choice],
    progress: Callable[[int], None] | None = None,
) -> pa.Table:
    """Mean log-probabilities per token of every answer of every choice, closed book, before the night and after.

    Args:
        base: The untouched model.
        post: The adapted one, same tokenizer.
        choices: What is compared.
        progress: Called with the number of answers finished since the last call; base and adapted count apart.

    Returns:
        A table of `PREFERENCES`, one row a choice.
    """
    answers = [answer for choice in choices for answer in (choice.right, *choice.wrong)]
    prompts = [
        prompt
        for choice in choices
        for prompt in [closed_book_prompt(base.tokenizer, choice.question)] * (1 + len(choice.wrong))
    ]
    before, after = (answer_log_probs(lm, prompts, answers, progress).tolist() for lm in (base, post))
    ends = pairwise(accumulate((1 + len(choice.wrong) for choice in choices), initial=0))
    rows = [
        {
            "item_id": choice.question.item_id,
            "right": choice.right,
            "wrong": list(choice.wrong),
            "right_pre": before[start],
            "wrong_pre": before[start + 1 : end],
            "right_post": after[start],
            "wrong_post": after[start + 1 : end],
        }
        for choice, (start, end) in zip(choices, ends, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=PREFERENCES)
