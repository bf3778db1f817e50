"""Training: epochs of AdamW, what a policy sets for each, and a row of telemetry after each.

    rows = train(model, training, validation, config, policy, seed)

An epoch is trained with true values mixed in as the policy says and always evaluated without: ``val.acc`` is the
headline, ``train.acc`` (at the epoch's oracle share) a diagnostic.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.config.emma import HolographicConfig, NeedleLossConfig, NeedleTrainConfig
from pipeline.errors import TrainingError
from pipeline.needle.evaluation import evaluate
from pipeline.needle.examples import TensorExamples
from pipeline.needle.losses import Loss, answer_loss, asked, loss
from pipeline.needle.measures import measures
from pipeline.needle.model import Batch, NeedleModel

Row = dict[str, float]


@dataclass(frozen=True)
class EpochSettings:
    """What a policy decides before an epoch.

    Attributes:
        lambda_nce: Weight of the gated InfoNCE.
        alpha: Share of true values in what needles write, in training.
        lr_factor: Multiplies the learning rate.
        write_strength_factor: Multiplies the strength of writes.
        cooldown_batches: So many first batches update no head of keys, values or gate.
    """

    lambda_nce: float = 0.0
    alpha: float = 0.0
    lr_factor: float = 1.0
    write_strength_factor: float = 1.0
    cooldown_batches: int = 0


Policy = Callable[[Sequence[Row]], EpochSettings]
"""From the rows of all epochs so far to the next one's settings."""


class Objective(Protocol):
    """From a batch to its loss, and the logits (B, N, V) with their positions (B, N)."""

    def __call__(self, batch: Batch, settings: EpochSettings) -> tuple[Loss, Tensor, Tensor]: ...


@dataclass(frozen=True)
class NeedleObjective:
    """The needle model's losses."""

    model: NeedleModel
    weights: NeedleLossConfig
    memory: HolographicConfig

    def __call__(self, batch: Batch, settings: EpochSettings) -> tuple[Loss, Tensor, Tensor]:
        """See ``Objective``."""
        self.model.memory.strength_factor = settings.write_strength_factor
        outputs = self.model.with_oracle(batch, settings.alpha)
        found = loss(self.model, outputs, batch, self.weights, self.memory, settings.lambda_nce)
        return found, outputs.logits, outputs.positions


@dataclass(frozen=True)
class AnswerObjective:
    """A peer's loss: the answers' cross-entropy alone."""

    model: nn.Module

    def __call__(self, batch: Batch, settings: EpochSettings) -> tuple[Loss, Tensor, Tensor]:
        """See ``Objective``."""
        answers = self.model(batch.tokens)
        term = answer_loss(answers.logits, answers.positions, batch)
        return Loss(term, {"answer": term}), answers.logits, answers.positions


@dataclass
class Trainer:
    """The optimiser and its schedule over all epochs.

    Attributes:
        model: What learns.
        objective: Its loss.
        examples: To learn from.
        config: Of the optimiser.
        seed: Of orders and of dropout.
    """

    model: nn.Module
    objective: Objective
    examples: TensorExamples
    config: NeedleTrainConfig
    seed: int

    def __post_init__(self) -> None:
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=self.config.lr, weight_decay=self.config.wd)
        self.steps = self.examples.steps(self.config.batch_size, self.config.steps_per_epoch)
        self.done = 0

    def rate(self, settings: EpochSettings) -> float:
        """The learning rate of the next step: a linear rise, a cosine down, times the policy's factor."""
        config, total = self.config, self.steps * self.config.epochs
        rise = min(1.0, (self.done + 1) / max(config.warmup_steps, 1))
        fall = (1 + math.cos(math.pi * min(self.done / total, 1.0))) / 2
        return config.lr * settings.lr_factor * rise * (config.lr_min_factor + (1 - config.lr_min_factor) * fall)

    def epoch(self, number: int, settings: EpochSettings, on_step: Callable[[Row], None] | None = None) -> Row:
        """Train one epoch, counted from 0.

        Args:
            number: Of the epoch.
            settings: Of the epoch.
            on_step: Sees the figures of every step.

        Raises:
            TrainingError: The loss is not a number.
        """
        self.model.train()
        sums, seconds, tokens, rate = dict[str, float](), time.perf_counter(), 0, 0.0
        with _own_randomness(self.seed * 1_000_003 + number, self.examples.device):
            batches = self.examples.shuffled(self.config.batch_size, self.seed, number, self.steps)
            for step, batch in enumerate(batches):
                rate = self.rate(settings)
                figures = self._step(batch, settings, step, rate)
                for name, value in figures.items():
                    sums[name] = sums.get(name, 0.0) + value
                if on_step is not None:
                    on_step(figures | {"lr": rate})
                tokens += batch.tokens.numel()
        seconds = time.perf_counter() - seconds
        row = {f"train.{name}": value / self.steps for name, value in sums.items()}
        return row | {"lr": rate, "seconds": seconds, "tokens_per_second": tokens / max(seconds, 1e-9)}

    def _step(self, batch: Batch, settings: EpochSettings, step: int, rate: float) -> Row:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        found, logits, positions = self.objective(batch, settings)
        self.optimiser.zero_grad(set_to_none=True)
        found.total.backward()  # type: ignore[no-untyped-call]
        if step < settings.cooldown_batches and isinstance(self.model, NeedleModel):
            for weight in self.model.write_heads():
                weight.grad = None
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.optimiser.step()
        self.done += 1
        with torch.no_grad():
            correct = (asked(logits, positions, batch).argmax(-1) == batch.target)[batch.target >= 0].float().mean()
            names = ["loss", "acc", "grad_norm", *(f"loss.{name}" for name in found.terms)]
            values = torch.stack([found.total, correct, norm, *found.terms.values()]).tolist()
        if not math.isfinite(values[0]):
            raise TrainingError(f"step {self.done}: the loss is {values[0]}, not a number; lower train.lr")
        return dict(zip(names, values, strict=True))


@contextmanager
def _own_randomness(seed: int, device: str) -> Iterator[None]:
    devices = [device] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def train(
    model: NeedleModel,
    training: TensorExamples,
    validation: TensorExamples,
    weights: NeedleLossConfig,
    config: NeedleTrainConfig,
    policy: Policy,
    seed: int,
    on_epoch: Callable[[Row], bool] | None = None,
) -> list[Row]:
    """Train all epochs.

    Args:
        model: Trained in place.
        training: TensorExamples to learn from.
        validation: TensorExamples that every epoch is judged by, without oracle.
        weights: Of the losses.
        config: Of the optimiser.
        policy: What decides λ, the oracle's share and the learning rate of an epoch, given the rows before it.
        seed: Of orders and of dropout.
        on_epoch: Sees every row; true stops the training.

    Returns:
        A row of telemetry for each epoch: ``epoch`` from 1, the settings, train.*, val.*, deq.spectral_norm, seconds.
    """
    trainer = Trainer(model, NeedleObjective(model, weights, model.memory.config), training, config, seed)
    rows = list[Row]()
    for number in range(config.epochs):
        settings = policy(rows)
        row = _settings_row(number + 1, settings) | trainer.epoch(number, settings)
        started = time.perf_counter()
        found = measures(evaluate(model, validation, config.eval_batch_size))
        row |= {f"val.{name}": value for name, value in found.items()}
        row |= {"deq.spectral_norm": model.core.spectral_norm(), "step": float(trainer.done)}
        row["val.seconds"] = time.perf_counter() - started
        rows.append(row)
        if on_epoch is not None and on_epoch(row):
            break
    return rows


def _settings_row(epoch: int, settings: EpochSettings) -> Row:
    return {
        "epoch": float(epoch),
        "lambda": settings.lambda_nce,
        "alpha": settings.alpha,
        "lr_factor": settings.lr_factor,
        "write_strength_factor": settings.write_strength_factor,
        "cooldown_batches": float(settings.cooldown_batches),
    }


def train_peer(
    model: nn.Module,
    training: TensorExamples,
    config: NeedleTrainConfig,
    seed: int,
    on_epoch: Callable[[Row], bool] | None = None,
) -> list[Mapping[str, float]]:
    """Train a peer on the same examples with the same optimiser, by its answers' cross-entropy alone."""
    trainer = Trainer(model, AnswerObjective(model), training, config, seed)
    rows = list[Mapping[str, float]]()
    for number in range(config.epochs):
        row = {"epoch": float(number + 1), **trainer.epoch(number, EpochSettings())}
        rows.append(row)
        if on_epoch is not None and on_epoch(row):
            break
    return rows
