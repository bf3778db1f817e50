"""Evaluation: the model sees tokens, its answers and its memory are compared with the labels afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pipeline.errors import ModelError
from pipeline.needle.examples import TensorExamples
from pipeline.needle.layout import gather
from pipeline.needle.losses import asked, bucket_terms, needles, write_cosines
from pipeline.needle.memory import collisions
from pipeline.needle.model import Batch, NeedleModel, Outputs

OPEN = 0.5
"""A gate above it counts as a write."""


class Answers(Protocol):
    """What any model of the task gives."""

    @property
    def logits(self) -> Tensor: ...
    @property
    def positions(self) -> Tensor: ...


@dataclass
class Evaluation:
    """One row a question, a write or a sequence, on the CPU; ``example`` counts from 0 in the order of the examples."""

    questions: dict[str, Tensor] = field(default_factory=dict)
    """example, time, target, pred, loss, cos_raw, cos (with the true value, cleaned), cleanup (raw with cleaned),
    bucket, entropy of the answer (nats), pairs (needles of its sequence)."""
    writes: dict[str, Tensor] = field(default_factory=dict)
    """Needles' own: example, time, target, pred (nearest prototype), cos, bucket, gate, written (0 or 1)."""
    sequences: dict[str, Tensor] = field(default_factory=dict)
    """writes, collisions, gate mass on needles and elsewhere, hits (writes at needles), needles."""
    solver: dict[str, Tensor] = field(default_factory=dict)
    """Mean a batch: steps, converged; largest a batch: residual; address_entropy and load_variance; rows of a batch."""
    loads: Tensor = field(default_factory=lambda: torch.zeros(0))
    """Writes to each bucket, (buckets,)."""
    reads: Tensor = field(default_factory=lambda: torch.zeros(0))
    """Reads of each bucket, (buckets,)."""


Alter = Callable[[Tensor], Tensor]


def zero_read(raw: Tensor) -> Tensor:
    """No memory: every read is zero."""
    return torch.zeros_like(raw)


def shuffled_read(raw: Tensor) -> Tensor:
    """Another sequence's memory: every read goes to the next row."""
    return raw.roll(1, 0)


@torch.no_grad()
def accuracy(model: nn.Module, examples: TensorExamples, batch_size: int) -> Tensor:
    """Whether each question is answered rightly, (questions,), of this model or of a peer, in evaluation mode."""
    return _right(model.eval(), examples, batch_size)


@torch.no_grad()
def probe(model: NeedleModel, examples: TensorExamples, batch_size: int) -> float:
    """Share of right answers, states solved as far as training solves them, which takes a third of the time.

    Draws no random number; the model is left in training mode.
    """
    model.eval()
    model.core.train()
    share = float(_right(model, examples, batch_size).float().mean())
    model.train()
    return share


def _right(model: nn.Module, examples: TensorExamples, batch_size: int) -> Tensor:
    right = list[Tensor]()
    for batch in examples.in_order(batch_size):
        answers: Answers = model(batch.tokens)
        predicted = asked(answers.logits, answers.positions, batch).argmax(-1)
        right.append((predicted == batch.target)[batch.target >= 0].cpu())
    return torch.cat(right)


@torch.no_grad()
def evaluate(model: NeedleModel, examples: TensorExamples, batch_size: int, alter: Alter | None = None) -> Evaluation:
    """Ask all questions.

    Args:
        model: Put into evaluation mode.
        examples: Whose tokens alone the model sees.
        batch_size: Sequences at once.
        alter: A control's change of raw reads.
    """
    model.eval()
    if model.training:
        raise ModelError("evaluation mode expected")
    buckets = model.memory.config.bucket_count
    parts = list[tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]]()
    loads, reads, first = torch.zeros(buckets), torch.zeros(buckets), 0
    for batch in examples.in_order(batch_size):
        outputs = model.answer(model.encode(batch.tokens), alter)
        parts.append(
            (
                _questions(model, outputs, batch, first),
                _writes(model, outputs, batch, first),
                _sequences(model, outputs, batch),
                _solver(model, outputs, batch),
            )
        )
        written = outputs.encoded.writes.buckets[outputs.encoded.writes.gates > OPEN]
        loads += torch.bincount(written.cpu(), minlength=buckets)
        reads += torch.bincount(parts[-1][0]["bucket"], minlength=buckets)
        first += len(batch.tokens)
    found = [{name: torch.cat([part[which][name] for part in parts]) for name in parts[0][which]} for which in range(4)]
    return Evaluation(found[0], found[1], found[2], found[3], loads, reads)


def _on_cpu(columns: dict[str, Tensor], chosen: Tensor | None = None) -> dict[str, Tensor]:
    return {name: (values if chosen is None else values[chosen]).detach().cpu() for name, values in columns.items()}


def _questions(model: NeedleModel, outputs: Outputs, batch: Batch, first: int) -> dict[str, Tensor]:
    logits, raw, cleaned, buckets = (
        asked(values, outputs.positions, batch)
        for values in (outputs.logits, outputs.raw, outputs.cleaned, outputs.read_buckets)
    )
    true = model.readout.prototypes()[batch.target.clamp_min(0)]
    log_probabilities = logits.log_softmax(-1)
    pairs = (batch.pair_val >= 0).sum(1, keepdim=True).expand_as(batch.target)
    columns = {
        "example": _example(batch.target, first),
        "time": batch.query_pos,
        "target": batch.target,
        "pred": logits.argmax(-1),
        "loss": cross_entropy(logits.flatten(0, 1), batch.target.clamp_min(0).flatten(), reduction="none").view_as(
            pairs
        ),
        "cos_raw": (raw * true).sum(-1),
        "cos": (cleaned * true).sum(-1),
        "cleanup": (raw * cleaned).sum(-1),
        "bucket": buckets[..., 0],
        "entropy": -(log_probabilities.exp() * log_probabilities).sum(-1),
        "pairs": pairs,
    }
    return _on_cpu(columns, batch.target >= 0)


def _example(like: Tensor, first: int) -> Tensor:
    return (torch.arange(len(like), device=like.device) + first)[:, None].expand_as(like)


def _writes(model: NeedleModel, outputs: Outputs, batch: Batch, first: int) -> dict[str, Tensor]:
    found, writes = needles(model, outputs, batch), outputs.encoded.writes
    gates = writes.gates.gather(1, found.index) * found.written
    predicted = gather(outputs.predicted, found.index) @ model.readout.prototypes().T
    columns = {
        "example": _example(found.labels, first),
        "time": found.positions,
        "target": found.labels,
        "pred": torch.where(found.written, predicted.argmax(-1), -1),
        "cos": write_cosines(model, outputs, found),
        "bucket": torch.where(found.written, writes.buckets.gather(1, found.index), -1),
        "gate": gates,
        "written": (gates > OPEN).long(),
    }
    return _on_cpu(columns, found.labels >= 0)


def _sequences(model: NeedleModel, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
    found, writes = needles(model, outputs, batch), outputs.encoded.writes
    written = writes.gates > OPEN
    on_needles = writes.gates.gather(1, found.index) * found.written
    columns = {
        "writes": written.sum(1),
        "collisions": collisions(writes, written),
        "mass_needles": on_needles.sum(1),
        "mass_noise": (writes.gates.sum(1) - on_needles.sum(1)).clamp_min(0),
        "hits": (on_needles > OPEN).sum(1),
        "needles": (found.labels >= 0).sum(1),
    }
    return _on_cpu(columns)


def _solver(model: NeedleModel, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
    solved = outputs.encoded.solved
    columns = {
        "steps": solved.steps.mean(),
        "residual": solved.residual.max(),
        "converged": solved.converged.float().mean(),
        **bucket_terms(model, outputs, needles(model, outputs, batch)),
        "rows": torch.tensor(float(len(batch.tokens))),
    }
    return {name: value.detach().cpu()[None] for name, value in columns.items()}
