"""What the frozen base says: its own replies for rehearsal, and its log-probabilities as soft targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch

from pipeline.language.encoding import EncodedRows, batches, collate, encode, run_lower, upper_logits
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import memory_prompt
from pipeline.language.rows import TrainingRow

FLOOR = -100.0  # nats; stands for probability zero in stored targets
HEAD_TOKENS = 1024  # positions per output-head product; bounds memory at 200 MB of logits


def top_log_probs(
    lm: LanguageModel, rows: Sequence[TrainingRow], k: int, progress: Callable[[int], None] | None = None
) -> list[TrainingRow]:
    """Rows with the model's k most likely tokens at every target position filled in, in order."""
    encoded = encode(lm, rows, first_layer=len(lm.model.model.layers))
    run_lower(lm, encoded, progress=progress)
    return soft_targets(lm, encoded, rows, k)


@torch.no_grad()
def soft_targets(
    lm: LanguageModel,
    encoded: EncodedRows,
    rows: Sequence[TrainingRow],
    k: int,
    progress: Callable[[int], None] | None = None,
) -> list[TrainingRow]:
    """`top_log_probs` of some rows whose lower layers are computed already.

    Args:
        lm: The frozen base.
        encoded: These rows and maybe others, after `run_lower`.
        rows: Which of them are wanted.
        k: Tokens kept per position.
        progress: Called with the number of rows finished since the last call.
    """
    wanted = {row.row_id for row in rows}
    found: dict[str, tuple[list[list[int]], list[list[float]]]] = {}
    for members in batches(encoded, [row for row in encoded.rows if row.row.row_id in wanted], HEAD_TOKENS):
        batch = collate(encoded, members)
        best = torch.log_softmax(upper_logits(lm, encoded, batch), dim=-1).topk(k)
        lengths = [len(member.targets) for member in batch.rows]
        for member, ids, values in zip(
            batch.rows, torch.split(best.indices, lengths), torch.split(best.values, lengths), strict=True
        ):
            found[member.row.row_id] = (ids.tolist(), values.tolist())
        if progress:
            progress(len(members))
    return [with_targets(row, *found[row.row_id]) for row in rows]


def with_targets(row: TrainingRow, ids: list[list[int]], values: list[list[float]]) -> TrainingRow:
    """The row with teacher tokens (T, k) and log-probabilities (T, k)."""
    return replace(row, top_ids=tuple(map(tuple, ids)), top_log_probs=tuple(map(tuple, values)))


def distil_with_memory(
    lm: LanguageModel, rows: Sequence[TrainingRow], asked: Mapping[str, str], texts: Mapping[str, str], k: int
) -> list[TrainingRow]:
    """Teach closed-book questions by the same model with memory ON, where it is right.

    Args:
        lm: The frozen base.
        rows: Question rows.
        asked: Row id to the question's text.
        texts: Row id to the text that retrieval brought.
        k: Teacher tokens kept per position.

    Returns:
        The rows; those whose gold answer is the teacher's own greedy answer carry its log-probabilities.
    """
    end = lm.tokenizer.eos_token
    opened = []
    for row in rows:
        prompt = memory_prompt(asked[row.row_id], [texts[row.row_id]])
        opened.append(replace(row, prompt=prompt, target=f" {row.target.removesuffix(end)}\n"))
    seen = top_log_probs(lm, opened, k)
    taught = []
    for row, teacher in zip(rows, seen, strict=True):
        own = lm.tokenizer(row.target, add_special_tokens=False)["input_ids"]
        gold = lm.tokenizer(teacher.target, add_special_tokens=False)["input_ids"]
        right = all(ids[0] == token for ids, token in zip(teacher.top_ids, gold, strict=True))
        row = replace(row, teacher_asked=True, teacher_right=right)
        if right and len(own) == len(gold):
            taught.append(_closed_book(row, teacher, own))
        else:
            taught.append(row)
    return taught


def _closed_book(row: TrainingRow, teacher: TrainingRow, own: list[int]) -> TrainingRow:
    """Carry the teacher's belief over to the closed-book spelling: its gold token may lack the leading space."""
    ids, values = [], []
    for position, token in enumerate(own):
        best, *others = teacher.top_ids[position]
        scores = list(teacher.top_log_probs[position])
        if position + 1 == len(own) or token in others:  # the end of the turn, or a clash: certain
            others = [i for i in (best, *others) if i != token][: len(others)]
            scores = [0.0] + [FLOOR] * len(others)
        ids.append([token, *others])
        values.append(scores)
    return with_targets(row, ids, values)
