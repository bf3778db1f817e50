"""``answers.parquet``: every prompt and answer of every arm, with its scores (schema ``answers/1``)."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from pipeline.evaluation.arms import ARMS, Ask
from pipeline.evaluation.scoring import contains, exact_match, f1, refused, verdict
from pipeline.evaluation.types import Generated

SCHEMA_NAME = "answers/1"

ANSWERS_SCHEMA = pa.schema(
    [
        ("arm", pa.string()),
        ("item_id", pa.string()),
        ("relation", pa.string()),  # sanity rows: the panel
        ("form", pa.string()),  # sanity rows: the half, dev or test
        ("split", pa.string()),
        ("prompt", pa.string()),  # rendered, special tokens included
        ("answer", pa.string()),
        ("gold", pa.string()),
        ("aliases", pa.list_(pa.string())),
        ("em", pa.float64()),  # 0 or 1; of a yes-or-no question: the verdict's
        ("f1", pa.float64()),  # in [0, 1]
        ("contains", pa.float64()),  # 0 or 1
        ("refused", pa.bool_()),
        ("overlong", pa.bool_()),
        ("new_tokens", pa.int64()),
    ]
)


def score_answers(asks: Sequence[Ask], prompts: Sequence[str], generations: Sequence[Generated]) -> pa.Table:
    """Score each reply against its gold and aliases.

    Args:
        asks: n questions.
        prompts: Their n rendered prompts.
        generations: The n replies.

    Returns:
        A table of `ANSWERS_SCHEMA`, n rows ordered by arm (as in `ARMS`), item, form and prompt.
    """
    rows = [_row(ask, prompt, generation) for ask, prompt, generation in zip(asks, prompts, generations, strict=True)]
    rank = {arm: i for i, arm in enumerate(ARMS)}
    rows.sort(key=lambda r: (rank[str(r["arm"])], r["item_id"], r["relation"], r["form"], r["prompt"]))
    return pa.Table.from_pylist(rows, schema=ANSWERS_SCHEMA)


def _row(ask: Ask, prompt: str, generation: Generated) -> dict[str, object]:
    question, answer = ask.question, generation.text.strip()
    right = (question.answer, question.aliases)
    return {
        "arm": ask.arm,
        "item_id": question.item_id,
        "relation": question.relation,
        "form": question.form,
        "split": question.split,
        "prompt": prompt,
        "answer": answer,
        "gold": question.answer,
        "aliases": list(question.aliases),
        "em": float(exact_match(verdict(answer) if ask.is_verdict else answer, *right)),
        "f1": f1(answer, *right),
        "contains": float(contains(answer, *right)),
        "refused": refused(answer),
        "overlong": bool(generation.overlong),
        "new_tokens": int(generation.new_tokens),
    }
