"""One training step in three parts: put together, started, and read.

A GPU works through what was started while the next step is put together, as long as nobody asks it for a number in
between. So the rows of a step are laid out first (`prepare`), its gradients started without waiting (`start`), and its
losses read last (`Running.read`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pipeline.config.language import LoraConfig
from pipeline.language.encoding import Batch, EncodedRow, EncodedRows, batches, collate
from pipeline.language.exchange import ALONE, Exchange
from pipeline.language.losses import (
    MICRO_BATCH_TOKENS,
    SOFT,
    SUMS,
    Objective,
    StepLoss,
    head_log_probs,
    objective,
    soft_loss_of,
    token_weight,
    weighted_sums,
)
from pipeline.language.models import LanguageModel
from pipeline.language.packing import placed
from pipeline.language.rows import UNTAUGHT


class Backward(Protocol):
    """Adds the gradient of ``scale`` (SUMS,) times a batch's sums; returns those sums and every cross-entropy.

    Attributes:
        width: Soft targets a token that every batch brings; None leaves that to the batch.
    """

    width: int | None

    def __call__(self, batch: Batch, goal: Objective, scale: Tensor) -> tuple[Tensor, Tensor]: ...


class PlainBackward:
    """Forward and backward as they come; a `Backward`."""

    width: int | None = None

    def __init__(self, lm: LanguageModel, encoded: EncodedRows) -> None:
        self.lm, self.encoded = lm, encoded

    def __call__(self, batch: Batch, goal: Objective, scale: Tensor) -> tuple[Tensor, Tensor]:
        """See `Backward`."""
        sums, cross = weighted_sums(head_log_probs(self.lm, self.encoded, batch, goal.ids), goal)
        (scale * sums).sum().backward()  # type: ignore[no-untyped-call]
        return sums.detach(), cross


@dataclass(frozen=True)
class Prepared:
    """A step, or this process's share of it, laid out on the device.

    Attributes:
        rows: All rows of the step.
        batches: The micro-batches of this process, with what each minimises.
        means: (SUMS,) by which the sums over all rows of the step become means.
        scale: (SUMS,) the same times the weight of each mean in the loss.
        weights: Those weights.
    """

    rows: Sequence[EncodedRow]
    batches: tuple[tuple[Batch, Objective], ...]
    means: Tensor
    scale: Tensor
    weights: tuple[float, ...]


def prepare(
    encoded: EncodedRows,
    rows: Sequence[EncodedRow],
    config: LoraConfig,
    device: torch.device,
    width: int | None = None,
    exchange: Exchange = ALONE,
) -> Prepared:
    """Lay out the rows of a step; what the device computes at the time goes on."""
    tokens, used = (
        sum(token_weight(r) * len(r.targets) for r in rows if (r.row.kind == "use") == use) for use in (False, True)
    )
    namesakes = sum(1 for r in rows if r.row.kind == "namesake")
    soft = [float(sum(1 for r in rows if r.row.top_ids and soft_loss_of(r) == which)) for which in SOFT]
    means = 1 / torch.tensor([tokens, float(namesakes), *soft, used]).clamp_min(1)
    weights = (
        1.0,
        config.unlikelihood,
        config.anchor_weight,
        config.distil_weight,
        config.forget_weight,
        config.use_weight,
    )
    parts = []
    for members in batches(encoded, exchange.own(encoded, list(rows)), MICRO_BATCH_TOKENS[device.type]):
        batch = collate(encoded, members)
        parts.append((batch, objective(batch, config.margin, width)))
    scale = torch.tensor(weights) * means
    return Prepared(rows, tuple(parts), placed(means, device), placed(scale, device), weights)


@dataclass(frozen=True)
class Running:
    """A step whose gradients the device is computing.

    Attributes:
        prepared: What was started.
        parts: (SUMS,) this process's share of the means.
        cross: Cross-entropies of every micro-batch's target tokens.
    """

    prepared: Prepared
    parts: Tensor
    cross: tuple[Tensor, ...]

    def read(self, exchange: Exchange = ALONE) -> StepLoss:
        """Wait for the step; the losses are those of all rows, of all processes."""
        by_row: dict[str, float] = {}
        for (batch, _), cross in zip(self.prepared.batches, self.cross, strict=True):
            values = iter(cross.tolist())
            for row in batch.rows:
                own = [next(values) for _ in row.targets]
                if row.row.kind not in UNTAUGHT:
                    by_row[row.row.row_id] = sum(own) / len(own)
        parts, by_row = _of_all(exchange, self.prepared.rows, self.parts, by_row)
        total = sum(weight * part for weight, part in zip(self.prepared.weights, parts, strict=True))
        cross_entropy, namesake, general, distil, _, use = parts
        return StepLoss(total, cross_entropy, namesake, general, distil, use, by_row)


def start(prepared: Prepared, backward: Backward) -> Running:
    """Start the backward passes of a step; gradients of several processes are left to be added."""
    parts, crosses = torch.zeros_like(prepared.means), []
    for batch, goal in prepared.batches:
        sums, cross = backward(batch, goal, prepared.scale)
        parts += prepared.means * sums
        crosses.append(cross)
    return Running(prepared, parts, tuple(crosses))


def accumulate_gradients(
    lm: LanguageModel,
    encoded: EncodedRows,
    rows: Sequence[EncodedRow],
    config: LoraConfig,
    backward: Backward | None = None,
    exchange: Exchange = ALONE,
) -> StepLoss:
    """Prepare, start and read one step."""
    backward = backward or PlainBackward(lm, encoded)
    return start(prepare(encoded, rows, config, lm.device, backward.width, exchange), backward).read(exchange)


def _of_all(
    exchange: Exchange, rows: Sequence[EncodedRow], parts: Tensor, by_row: dict[str, float]
) -> tuple[list[float], dict[str, float]]:
    """The (SUMS,) means and the losses by row of all processes, from those of this one."""
    if exchange.size == 1:
        return parts.tolist(), by_row
    names = list(dict.fromkeys(row.row.row_id for row in rows if row.row.kind not in UNTAUGHT))
    own = [*parts.tolist(), *(by_row.get(name, 0.0) for name in names), *(float(name in by_row) for name in names)]
    totals = exchange.totals(own, parts.device)
    losses, times = totals[SUMS : SUMS + len(names)], totals[SUMS + len(names) :]  # a row may stand twice in a step
    return totals[:SUMS], {name: loss / count for name, loss, count in zip(names, losses, times, strict=True)}
