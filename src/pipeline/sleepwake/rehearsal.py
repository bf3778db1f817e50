"""What a sleep trains on: memories with targets of their own, sequences that the old weights make up, base text.

Soft labels come from a frozen copy of the model: of memories with its memory on, after it has read them once; of all
else from its weights alone, so that a sleep keeps what they knew. Pseudo-rehearsal: Robins 1995,
doi:10.1080/09540099550039318.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from pipeline.config.sleepwake_night import SleepConfig
from pipeline.sleepwake.byte_model import BEGIN
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.surprise_store import Slot

_BATCH = {"cpu": 128, "cuda": 2048}  # rows a pass; on a GPU passes cost more than rows


@dataclass(frozen=True)
class Labelled:
    """Sequences with labels, on the teacher's device.

    Attributes:
        values: Byte values, padded, (N, L).
        soft: The teacher's log-probabilities of every byte, (N, L, 256).
        weights: Of every byte in the loss, 0 of padding, (N, L).
    """

    values: Tensor
    soft: Tensor
    weights: Tensor

    @cached_property
    def sizes(self) -> Tensor:
        """Bytes of every sequence before its padding, (N,), in main memory."""
        places = torch.arange(1, self.weights.shape[1] + 1, device=self.weights.device)
        return ((self.weights > 0) * places).amax(1).cpu()

    def cpu(self) -> Labelled:
        """The same in main memory."""
        return Labelled(self.values.cpu(), self.soft.cpu(), self.weights.cpu())


@dataclass(frozen=True)
class MemoryRows(Labelled):
    """Memories as sequences, context, then target; targets weigh 1, contexts less.

    Attributes:
        targets: Where targets stand, bool (N, L).
        right: Share of memories whose every byte is the teacher's likeliest.
    """

    targets: Tensor
    right: float

    def cpu(self) -> MemoryRows:
        """The same in main memory."""
        return MemoryRows(self.values.cpu(), self.soft.cpu(), self.weights.cpu(), self.targets.cpu(), self.right)


def labelled(teacher: SleepWakeModel, values: Tensor, weights: Tensor | None = None, memory: bool = False) -> Labelled:
    """Sequences (N, L) with the teacher's labels, on its device.

    Args:
        teacher: Of the labels.
        values: Byte values.
        weights: Of every byte (N, L); None is all one.
        memory: Whether the teacher reads them with its memory, or by its weights alone.
    """
    device = teacher.embedding.weight.device
    values = values.to(device)
    with torch.no_grad():
        soft = [log_shares(teacher, part, memory) for part in torch.split(values, _BATCH[device.type])]
    weights = torch.ones(values.shape, device=device) if weights is None else weights.to(device)
    return Labelled(values, torch.cat(soft), weights)


def log_shares(model: SleepWakeModel, values: Tensor, memory: bool = False) -> Tensor:
    """Log-probabilities of bytes, (B, L, 256), for byte values (B, L)."""
    return model.of_bytes(values, memory)[..., :256].log_softmax(-1)


def shares_together(model: SleepWakeModel, parts: Sequence[Tensor], sizes: Sequence[Tensor]) -> list[Tensor]:
    """Log-probabilities of several batches in at most three passes, each of rows of like length: little is padding.

    Args:
        model: The student.
        parts: Byte values (B, L) of each batch, padded behind.
        sizes: Bytes of every row before its padding, (B,), in main memory.

    Returns:
        (B, L, 256) of each; 0 of padding that no pass computed.
    """
    found = [torch.zeros(*part.shape, 256, device=part.device) for part in parts]
    least = 0
    for most in cuts_of(torch.cat(list(sizes)).numpy()):
        chosen = [((lengths > least) & (lengths <= most)).nonzero()[:, 0].to(parts[0].device) for lengths in sizes]
        taken = [part[rows, :most] for part, rows in zip(parts, chosen, strict=True)]
        shares = log_shares(model, torch.cat([pad(part, (0, most - part.shape[1])) for part in taken]))
        first = 0
        for number, (part, rows) in enumerate(zip(taken, chosen, strict=True)):
            new = shares[first : first + len(part), : part.shape[1]]
            if part.shape == parts[number].shape:
                found[number] = new
            elif len(part):
                found[number][rows, : part.shape[1]] = new
            first += len(part)
        least = most
    return found


def cuts_of(lengths: npt.NDArray[np.int64], passes: int = 3) -> list[int]:
    """Lengths up to which rows are padded in each pass, rising, so that least is computed for rows of ``lengths``."""
    kinds, counts = np.unique(lengths, return_counts=True)
    below = np.concatenate([[0], counts.cumsum()])  # rows shorter than each kind, then all
    padded = (below - below[:, None]) * np.concatenate([[0], kinds])  # one pass over kinds [begin, end)
    padded = np.where(padded < 0, np.iinfo(np.int64).max // 2, padded)
    cost, begins = padded[0], list[npt.NDArray[np.int64]]()
    for _ in range(passes - 1):
        tried = cost[:, None] + padded
        cost, begins = tried.min(0), [*begins, tried.argmin(0)]
    ends = [len(kinds)]
    for begin in reversed(begins):
        ends.append(int(begin[ends[-1]]))
    return sorted({int(kinds[end - 1]) for end in ends if end})


@torch.no_grad()
def memory_rows(teacher: SleepWakeModel, slots: Sequence[Slot], config: SleepConfig) -> MemoryRows:
    """Memories as sequences with the labels of the teacher, who has just read each of them."""
    length = max(len(slot.context) + len(slot.target) for slot in slots)
    values = torch.zeros(len(slots), length, dtype=torch.int64)
    weights, targets = torch.zeros(len(slots), length), torch.zeros(len(slots), length, dtype=torch.bool)
    for row, slot in enumerate(slots):
        first, end = len(slot.context), len(slot.context) + len(slot.target)
        values[row, :end] = torch.tensor(list(slot.context + slot.target))
        weights[row, :first], weights[row, first:end] = config.context_weight, 1.0
        targets[row, first:end] = True
    device = teacher.embedding.weight.device
    values, weights, targets = values.to(device), weights.to(device), targets.to(device)
    labels = torch.zeros(len(slots), length, 256, device=device)
    sizes = [len(slot.context) + len(slot.target) for slot in slots]
    for size in sorted(set(sizes)):  # padding between the two readings would be read as well
        chosen = torch.tensor([row for row, found in enumerate(sizes) if found == size], device=device)
        for rows in torch.split(chosen, _BATCH[device.type]):
            part = values[rows, :size]
            twice = torch.cat([part, torch.full_like(part[:, :1], ord("\n")), part], 1)
            labels[rows, :size] = log_shares(teacher, twice, memory=True)[:, size + 1 :]
    wrong = (labels.argmax(-1) != values) & targets
    return MemoryRows(values, labels, weights, targets, float((~wrong.any(1)).double().mean()))


@torch.no_grad()
def made_up(
    teacher: SleepWakeModel, slots: Sequence[Slot], config: SleepConfig, generator: torch.Generator
) -> Labelled:
    """Sequences drawn byte by byte from the old weights; each begins with the first byte of some memory's context."""
    starts = torch.tensor([slot.context[0] for slot in slots])
    chosen = starts[torch.randint(len(starts), (config.pseudo_pool,), generator=generator)]
    tokens = torch.stack([torch.full_like(chosen, BEGIN), chosen], 1)
    return labelled(teacher, _drawn(teacher, tokens, config.pseudo_length - 1, generator)[:, 1:])


@torch.no_grad()
def continued(teacher: SleepWakeModel, cues: Sequence[bytes], config: SleepConfig) -> Labelled:
    """Cues with what the old weights say behind them, the likeliest byte each time."""
    length = max(map(len, cues)) + config.cue_bytes
    values, weights = torch.zeros(len(cues), length, dtype=torch.int64), torch.zeros(len(cues), length)
    for size in sorted({len(cue) for cue in cues}):
        rows = [row for row, cue in enumerate(cues) if len(cue) == size]
        tokens = torch.tensor([[BEGIN, *cues[row]] for row in rows])
        end = size + config.cue_bytes
        values[rows, :end] = _drawn(teacher, tokens, config.cue_bytes)[:, 1:]
        weights[rows, :size], weights[rows, size:end] = config.context_weight, 1.0
    return labelled(teacher, values, weights)


def _drawn(teacher: SleepWakeModel, tokens: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Token ids (N, L) with ``count`` more bytes of the weights alone: drawn, or the likeliest without a generator."""
    device = teacher.embedding.weight.device
    for _ in range(count):
        shares = torch.cat(
            [
                (teacher.hidden(part.to(device), memory=False)[:, -1] @ teacher.embedding.weight.T)[:, :256].cpu()
                for part in torch.split(tokens, _BATCH[device.type])
            ]
        ).softmax(-1)
        added = (
            shares.argmax(1, keepdim=True) if generator is None else torch.multinomial(shares, 1, generator=generator)
        )
        tokens = torch.cat([tokens, added], 1)
    return tokens


def fisher_information(model: SleepWakeModel, rows: Tensor) -> list[Tensor]:
    """Diagonal of the empirical Fisher information a byte of every parameter, from rows of text (N, L).

    Half of it times a squared change is about the divergence that the change causes (Kirkpatrick et al. 2017,
    arXiv:1612.00796). What the weights alone do not use has none.
    """
    weights = list(model.parameters())
    summed = [torch.zeros_like(weight) for weight in weights]
    for row in rows:
        values = row[None].to(weights[0].device)
        loss = -log_shares(model, values).gather(-1, values[..., None]).mean()
        found = torch.autograd.grad(loss, [weight for weight in weights if weight.requires_grad], allow_unused=True)
        gradients = iter(found)
        for total, weight in zip(summed, weights, strict=True):
            gradient = next(gradients) if weight.requires_grad else None
            if gradient is not None:
                total += gradient.square() * (rows.shape[1] / len(rows))
    return summed


def with_truth(rows: Labelled, share: float) -> Labelled:
    """Labels that the bytes which really follow have a share in.

    Old labels and true ones together keep more than old ones alone (Buzzega et al. 2020, arXiv:2004.07211).
    """
    if not share:
        return rows
    mixed = (1 - share) * rows.soft.exp()
    mixed.scatter_add_(-1, rows.values[..., None], torch.full_like(mixed[..., :1], share))
    return replace(rows, soft=mixed.clamp_min(1e-12).log())


def divergence(old: Tensor, new: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean KL(old ‖ new) in nats of log-probabilities (B, L, V), weighted by (B, L)."""
    apart = (old.exp() * (old - new)).sum(-1)
    return apart.mean() if weights is None else (apart * weights).sum() / weights.sum().clamp_min(1e-9)


def drawing_weights(slots: Sequence[Slot], power: float) -> npt.NDArray[np.float64]:
    """Probability of each memory to be drawn, (N,): its importance to a power."""
    weights = np.array([max(slot.importance, 1e-6) ** power for slot in slots])
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares
