"""What a model answers by itself: greedy continuations of questions, with or without the memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.sleepwake.byte_model import BEGIN
from pipeline.sleepwake.facts import Fact
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.titans import MemoryState

_BATCH = {"cpu": 256, "cuda": 2048}  # questions a pass; on a GPU passes cost more than questions


@dataclass(frozen=True)
class Reply:
    """A continuation.

    Attributes:
        text: Bytes, the likeliest one each time.
        confidence: Product of their probabilities.
    """

    text: bytes
    confidence: float


@torch.no_grad()
def replies(
    model: SleepWakeModel,
    questions: Sequence[bytes],
    lengths: Sequence[int],
    memory: bool = False,
    state: MemoryState | None = None,
) -> list[Reply]:
    """Continue questions.

    Args:
        model: Put into evaluation mode.
        questions: Bytes of each.
        lengths: Bytes of each reply.
        memory: Whether the memory is read.
        state: What the memory holds of earlier sessions, one row a question.
    """
    model.eval()
    found: dict[int, Reply] = {}
    for shape in sorted({(len(question), length) for question, length in zip(questions, lengths, strict=True)}):
        numbers = [
            number
            for number, (question, length) in enumerate(zip(questions, lengths, strict=True))
            if (len(question), length) == shape
        ]
        size = _BATCH[model.embedding.weight.device.type]
        for first in range(0, len(numbers), size):
            chosen = numbers[first : first + size]
            given = None if state is None else MemoryState(state.weights[chosen], state.momentum[chosen])
            batch = _continued(model, [questions[number] for number in chosen], shape[1], memory, given)
            found |= dict(zip(chosen, batch, strict=True))
    return [found[number] for number in range(len(questions))]


def _continued(
    model: SleepWakeModel, questions: Sequence[bytes], length: int, memory: bool, state: MemoryState | None
) -> list[Reply]:
    """Replies of questions of one length."""
    device = model.embedding.weight.device
    tokens = torch.tensor([[BEGIN, *question] for question in questions], device=device)
    shares = torch.ones(len(questions), device=device)
    for _ in range(length):
        stream, _ = model.read(tokens, memory, state)
        likely = (stream[:, -1] @ model.embedding.weight.T)[:, :256].softmax(-1).max(-1)
        shares = shares * likely.values
        tokens = torch.cat([tokens, likely.indices[:, None]], 1)
    texts = tokens[:, -length:].cpu().tolist()
    return [Reply(bytes(text), share) for text, share in zip(texts, shares.cpu().tolist(), strict=True)]


@torch.no_grad()
def recalled(
    model: SleepWakeModel, questions: Sequence[bytes], answers: Sequence[bytes], memory: bool = False
) -> list[bool]:
    """Whether each question is continued by its whole answer, the likeliest byte each time.

    One pass judges all bytes of an answer behind the right ones before them: the first wrong byte of a continuation
    stands behind right ones alone.
    """
    model.eval()
    device = model.embedding.weight.device
    rows = [question + answer for question, answer in zip(questions, answers, strict=True)]
    order, size = sorted(range(len(rows)), key=lambda number: len(rows[number])), _BATCH[device.type]
    found = dict[int, bool]()
    for first in range(0, len(order), size):
        chosen = order[first : first + size]
        length = max(len(rows[number]) for number in chosen)
        values = torch.tensor([list(rows[number].ljust(length, b"\0")) for number in chosen], device=device)
        begins = torch.tensor([len(questions[number]) for number in chosen], device=device)[:, None]
        ends = torch.tensor([len(rows[number]) for number in chosen], device=device)[:, None]
        places = torch.arange(length, device=device)
        wrong = (model.of_bytes(values, memory)[..., :256].argmax(-1) != values) & (places >= begins) & (places < ends)
        found |= dict(zip(chosen, (~wrong.any(1)).tolist(), strict=True))
    return [found[number] for number in range(len(rows))]


def recall_of(model: SleepWakeModel, facts: Sequence[Fact], memory: bool = False) -> float:
    """Share of facts whose newest value is answered; 0 of none."""
    known = [(fact.question.encode(), fact.answer.encode()) for fact in facts if fact.answer is not None]
    if not known:
        return 0.0
    questions, answers = zip(*known, strict=True)
    return float(np.mean(recalled(model, questions, answers, memory)))
