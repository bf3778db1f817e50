"""A sleep: the weights learn what the memory knows, each memory by its own target, and keep what they knew.

    slept = sleep(model, store.selected(), corpus.train, probe_text, config, seed)

The teacher is a frozen copy of the model before the sleep; the student answers without the memory. At every probe all
memories are asked of the weights alone, and base text is measured: memories that pass several probes in succession are
verified, and weights that harmed base text are rolled back to the last probe that did not. Learning with a teacher's
soft labels: Hinton et al. 2015, arXiv:1503.02531.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import nll_loss
from torch.nn.utils import clip_grad_norm_, parameters_to_vector

from pipeline.config.sleepwake_night import SleepConfig
from pipeline.sleepwake.byte_training import byte_optimizer, half_precision, windows
from pipeline.sleepwake.material import Material, material_of
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.pretraining import nats
from pipeline.sleepwake.recall import recalled
from pipeline.sleepwake.rehearsal import (
    Labelled,
    MemoryRows,
    divergence,
    fisher_information,
    log_shares,
    shares_together,
)
from pipeline.sleepwake.surprise_store import Slot
from pipeline.sleepwake.text import Bytes
from pipeline.sleepwake.weights import is_trained, weight_change

Told = Callable[[int, dict[str, float]], None]
_RISE, _FALL = 1.1, 0.5
_SHARES = tuple(1 - 0.05 * number for number in range(1, 11))
_LEAST_GAIN = 0.05  # relative fall of the loss between probes below which the rate rises


@dataclass
class Slept:
    """How a sleep went.

    Attributes:
        steps: Figures of every optimiser step.
        probes: Figures of every probe: ``step``, ``recall``, ``drift``, ``lr``.
        stages: Probes in succession that each slot passed at the end, by its id.
        rollbacks: How often weights were taken back.
        kept_share: Of the way from the last harmless weights to the last ones, how much was kept.
        teacher_right: Share of memories that the teacher answers with its memory on.
        stopped: Why it ended before its steps were done; empty if it did not.
        weight_change: Relative change of the weights of every module.
    """

    steps: list[dict[str, float]] = field(default_factory=list)
    probes: list[dict[str, float]] = field(default_factory=list)
    stages: dict[int, int] = field(default_factory=dict)
    rollbacks: int = 0
    kept_share: float = 1.0
    teacher_right: float = 0.0
    stopped: str = ""
    weight_change: dict[str, float] = field(default_factory=dict)


def sleep(
    model: SleepWakeModel,
    slots: Sequence[Slot],
    text: Bytes,
    probe_text: Bytes,
    config: SleepConfig,
    seed: int,
    told: Told = lambda step, figures: None,
    learn: bool = True,
    cues: Sequence[bytes] = (),
) -> Slept:
    """Train a model in place.

    Args:
        model: Teacher as it comes, student as it goes.
        slots: The memories.
        text: Base text that is rehearsed.
        probe_text: Held-out text whose loss must not rise.
        config: Mixture, optimiser, probes, bounds.
        seed: Of everything that is drawn.
        told: Called with each step and its figures.
        learn: False replaces memories by more base text: the same steps without what they teach (a control).
        cues: Contexts of earlier memories, whose targets only the weights know.

    Raises:
        DataError: The text is too short.
    """
    slept = Slept()
    if not slots:
        slept.stopped = "no memories"
        return slept
    generator = np.random.default_rng([seed, *b"sleep"])
    teacher = copy.deepcopy(model).eval().requires_grad_(False)
    material = material_of(teacher, slots, text, config, generator, learn, cues)
    if config.offload:
        teacher, material = teacher.cpu(), material.cpu()
    if material.memories is not None:
        slept.teacher_right = material.memories.right
    _Night(model, slots, material, text, probe_text, config, generator, slept, told).run()
    slept.weight_change = weight_change(teacher, model)
    return slept


class _Night:
    """One sleep while it lasts."""

    def __init__(
        self,
        model: SleepWakeModel,
        slots: Sequence[Slot],
        material: Material,
        text: Bytes,
        probe_text: Bytes,
        config: SleepConfig,
        generator: np.random.Generator,
        slept: Slept,
        told: Told,
    ) -> None:
        self.model, self.slots, self.material = model, slots, material
        self.probe_text = probe_text[: config.probe_bytes]
        self.config, self.generator, self.slept, self.told = config, generator, slept, told
        self.device = model.embedding.weight.device
        for name, weight in model.named_parameters():
            weight.requires_grad_(is_trained(name, config, model.config.memory_block))
        self.optimizer = byte_optimizer(model, config.lr, config.weight_decay, config.optimizer)
        self.lr, self.start_nats = config.lr, nats(model, self.probe_text)
        self.anchor = parameters_to_vector(model.parameters()).detach()
        self.holds = torch.zeros_like(self.anchor)
        if config.ewc:
            rows = windows(text, config.ewc_rows, config.text_length, generator)
            self.holds = config.ewc / 2 * parameters_to_vector(fisher_information(model, rows))
        self.passed = [0] * len(slots)
        self.good, self.good_passed = _state(model), list(self.passed)
        self.mean_loss: float | None = None

    def run(self) -> None:
        """All steps, or until every memory is verified or the sleep has to end."""
        since = list[float]()
        for step in range(self.config.steps):
            self.model.eval()  # dropout belongs to pre-training
            since.append(self._step(step))
            last = step == self.config.steps - 1
            if (step + 1) % self.config.probe_every == 0 or last:
                self._probe(step + 1, float(np.mean(since)))
                since = []
                if self.slept.stopped:
                    break
        for weight in self.model.parameters():
            weight.requires_grad_(True)
        if self.slept.probes and self.slept.probes[-1]["drift"] > self.config.drift_max:
            self._come_back()
        self.model.load_state_dict(self.good)
        self.slept.stages = {slot.slot_id: count for slot, count in zip(self.slots, self.good_passed, strict=True)}

    def _step(self, step: int) -> float:
        rate = self.lr * min(1.0, (step + 1) / max(1, self.config.warmup), 1 - 0.9 * step / self.config.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with half_precision(self.device):
            figures = self._losses()
        loss = torch.stack(list(figures.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        row = {"loss": float(loss.detach())} | {
            f"loss.{name}": float(value.detach()) for name, value in figures.items()
        }
        self.slept.steps.append(row | {"lr": rate})
        self.told(step, row)
        return row["loss"]

    def _losses(self) -> dict[str, Tensor]:
        """Every part of the loss of one step, weighted."""
        config, material, found = self.config, self.material, dict[str, Tensor]()
        pools = {
            "memory": (material.memories, config.memory_rows, 1.0),
            "pseudo": (material.invented, config.pseudo_rows, config.pseudo_weight),
            "cues": (material.cued, config.cue_rows, config.cue_weight),
            "text": (material.text, material.text_rows, config.text_weight),
        }
        taken = {name: (pool, self._drawn(pool, rows)) for name, (pool, rows, _) in pools.items() if pool}
        values = [pool.values[chosen].to(self.device) for pool, chosen in taken.values()]
        shares = shares_together(self.model, values, [pool.sizes[chosen] for pool, chosen in taken.values()])
        for (name, (pool, chosen)), part, new in zip(taken.items(), values, shares, strict=True):
            old, weights = pool.soft[chosen].to(self.device), pool.weights[chosen].to(self.device)
            if not isinstance(pool, MemoryRows):
                found[name] = pools[name][2] * divergence(old, new, weights)
                continue
            targets = pool.targets[chosen].to(self.device)
            hard = nll_loss(new.flatten(0, 1), part.flatten(), reduction="none").view(part.shape)
            found[name] = (hard * weights).sum() / targets.sum()
            if config.consolidation_strength:
                found["teacher"] = config.consolidation_strength * divergence(old, new, targets.float())
        if material.streams is not None:
            chosen = self._drawn(material.streams, config.stream_rows)
            part, old = (pool[chosen].to(self.device) for pool in (material.streams.values, material.streams.soft))
            found["streams"] = config.stream_weight * divergence(old, log_shares(self.model, part, memory=True))
        if config.l2sp or config.ewc:
            apart = parameters_to_vector(self.model.parameters()) - self.anchor
            found["held"] = (apart.square() * (config.l2sp + self.holds)).sum()
        return found

    def _drawn(self, pool: Labelled, rows: int) -> Tensor:
        """Numbers of ``rows`` sequences of a pool: memories by importance and each once, all else evenly."""
        count = len(pool.values)
        if isinstance(pool, MemoryRows):
            shares = self.material.shares
            return torch.from_numpy(self.generator.choice(count, size=min(rows, count), replace=False, p=shares))
        return torch.from_numpy(self.generator.integers(count, size=rows))

    def _probe(self, step: int, loss: float) -> None:
        """Ask every memory, measure base text, and take back what harmed it."""
        base = nats(self.model, self.probe_text)
        drift = base / self.start_nats - 1
        right = self._right()
        row = {"step": float(step), "recall": float(np.mean(right)), "drift": drift, "loss": loss, "lr": self.lr}
        self.slept.probes.append(row)
        self.passed = [count + 1 if found else 0 for count, found in zip(self.passed, right, strict=True)]
        if not math.isfinite(base) or drift > self.config.transient_max:
            self._roll_back()
            return
        if drift <= self.config.drift_max:
            self.good, self.good_passed = _state(self.model), list(self.passed)
            if all(count >= self.config.probes for count in self.passed):
                self.slept.stopped = "every memory is verified"
        if self.config.control and self.mean_loss is not None:
            gain = 1 - loss / max(self.mean_loss, 1e-9)
            self.lr *= _FALL if gain < -_LEAST_GAIN else _RISE if gain < _LEAST_GAIN else 1.0
            self.lr = min(max(self.lr, self.config.lr_min), self.config.lr_max)
        self.mean_loss = loss

    def _come_back(self) -> None:
        """From weights that harm base text a little too much, straight towards the last that did not.

        Between two weights of one training the loss hardly rises (Wortsman et al. 2022, arXiv:2109.01903). The first
        point that does no harm is taken if more memories are answered there than at the start of the way.
        """
        last, passed = _state(self.model), list(self.passed)
        for share in _SHARES:
            self.model.load_state_dict({name: self.good[name].lerp(last[name], share) for name in last})
            base = nats(self.model, self.probe_text)
            if base / self.start_nats - 1 <= self.config.drift_max:
                break
        else:
            return
        right = self._right()
        row = {"step": float(len(self.slept.steps)), "recall": float(np.mean(right)), "loss": float("nan"), "lr": 0.0}
        self.slept.probes.append(row | {"drift": base / self.start_nats - 1})
        self.slept.kept_share = share
        if sum(right) > sum(count > 0 for count in self.good_passed):
            self.good = _state(self.model)
            self.good_passed = [count if found else 0 for count, found in zip(passed, right, strict=True)]

    def _right(self) -> list[bool]:
        """Which memories the weights alone answer."""
        return recalled(self.model, [slot.context for slot in self.slots], [slot.target for slot in self.slots])

    def _roll_back(self) -> None:
        """Back to the last probe that did no harm, with half the rate; the optimiser's averages start anew."""
        self.slept.rollbacks += 1
        self.model.load_state_dict(self.good)
        self.passed = list(self.good_passed)
        self.lr = max(self.lr * _FALL, self.config.lr_min)
        self.optimizer = byte_optimizer(self.model, self.lr, self.config.weight_decay, self.config.optimizer)
        self.mean_loss = None
        if self.slept.rollbacks > self.config.rollbacks:
            self.slept.stopped = f"base text got worse by more than {self.config.transient_max:.1%} again and again"


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
