"""A training under the gate: before each epoch it decides, after each epoch alarms judge; every epoch can be saved.

    course = Course(config, device, training, validation)
    while not course.over:
        evaluation = course.epoch()
        course.save(path)                   # Course(…).load(path) goes on as if nothing had happened

The gate's state is not saved: it follows from what every epoch measured.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from pipeline.artifacts.atomic import write_bytes
from pipeline.config.needle import NeedleConfig
from pipeline.needle.alarms import DropTest, drop_alarm, paired_drop, tripped, watching
from pipeline.needle.building import new_model
from pipeline.needle.decisions import Decision, Signals, State
from pipeline.needle.evaluation import Evaluation, evaluate, probe
from pipeline.needle.examples import TensorExamples
from pipeline.needle.gate_table import decided
from pipeline.needle.measures import measures, right
from pipeline.needle.model import NeedleModel
from pipeline.needle.scheduler import advance
from pipeline.needle.training import EpochSettings, NeedleObjective, Row, Trainer

TIMES = ("seconds", "tokens_per_second", "val.seconds", "probe.seconds")
"""Figures of an epoch that differ from run to run; they stand in no table. Probes' seconds are part of ``seconds``."""

LEARNED = 0.9
"""Validation accuracy whose first step is told."""


def settings_of(decision: Decision) -> EpochSettings:
    """What a decision means for an epoch."""
    return EpochSettings(
        decision.nce_lambda,
        decision.oracle_mix,
        decision.lr_factor,
        decision.write_strength_factor,
        decision.cooldown_batches,
    )


class Course:
    """A model, its optimiser, and everything that was measured so far.

    Args:
        config: Of the flow.
        device: Where the model is.
        training: To learn from.
        validation: What every epoch is judged by.

    Attributes:
        rows: Figures of every epoch.
        decisions: How every epoch was trained.
        drops: Paired tests against the epoch before the gate first opened.
        probes: Steps and accuracies on some validation sequences between evaluations, until one is `LEARNED`.
        stopped: Why training ended early; empty if it did not.
    """

    def __init__(self, config: NeedleConfig, device: str, training: TensorExamples, validation: TensorExamples) -> None:
        self.config, self.validation = config, validation
        self.model: NeedleModel = new_model(config, device)
        objective = NeedleObjective(self.model, config.loss, config.memory)
        self.trainer = Trainer(self.model, objective, training, config.train, config.seed)
        self.rows, self.decisions, self.drops = list[Row](), list[Decision](), list[DropTest]()
        self.times, self.probes = list[Row](), list[Row]()
        self.stopped = ""
        self._probed = validation.first(config.train.probe_size)
        self._probe_seconds = 0.0  # of the epoch
        self._state = State()
        self._before: Tensor | None = None  # whether each question was right when the gate was last closed

    @property
    def over(self) -> bool:
        """Whether there is no further epoch."""
        return bool(self.stopped) or len(self.rows) >= self.config.train.epochs

    @property
    def steps(self) -> int:
        """Steps of all epochs that are configured."""
        return self.trainer.steps * self.config.train.epochs

    def signals(self) -> Signals:
        """What the last epoch measured, as the gate sees it."""
        return _signals(self.rows[-1]) if self.rows else Signals()

    def all_signals(self) -> list[Signals]:
        """What each epoch so far was decided from."""
        return [Signals(), *(_signals(row) for row in self.rows[:-1])]

    def epoch(self, on_step: Callable[[Row], None] | None = None) -> Evaluation:
        """Train and judge one epoch.

        Args:
            on_step: Sees the figures of every step; ``val.probe_acc`` is among them where it was measured.

        Returns:
            Every validation sequence's reads and writes, without true values.

        Raises:
            TrainingError: The loss is not a number.
        """
        number = len(self.rows)
        self._state, decision = advance(self.config.nce, self._state, self.signals())
        self._probe_seconds = 0.0
        row = self.trainer.epoch(number, settings_of(decision), lambda figures: self._stepped(figures, on_step))
        row["probe.seconds"] = self._probe_seconds
        started = time.perf_counter()
        evaluation = evaluate(self.model, self.validation, self.config.train.eval_batch_size)
        row |= {f"val.{name}": value for name, value in measures(evaluation).items()}
        row |= {"deq.spectral_norm": self.model.core.spectral_norm(), "step": float(self.trainer.done)}
        row["val.seconds"] = time.perf_counter() - started
        self.times.append({name: row.pop(name) for name in TIMES})
        self.rows.append(row)
        self.decisions.append(decision)
        self._judge(row, decision, right(evaluation))
        return evaluation

    def _stepped(self, figures: Row, on_step: Callable[[Row], None] | None) -> None:
        """Probe validation accuracy if it is time to, then hand the step's figures on."""
        every, step = self.config.train.probe_every, self.trainer.done
        between = step % self.trainer.steps != 0  # an epoch's last step is evaluated anyway
        if every is not None and step % every == 0 and between and self.steps_to_90 is None:
            started = time.perf_counter()
            share = probe(self.model, self._probed, self.config.train.eval_batch_size)
            self._probe_seconds += time.perf_counter() - started
            self.probes.append({"step": float(step), "val.acc": share})
            figures = figures | {"val.probe_acc": share}
        if on_step is not None:
            on_step(figures)

    @property
    def steps_to_90(self) -> int | None:
        """Steps after which validation accuracy first was `LEARNED`, of probes and epochs; None: never."""
        return steps_to([*self.rows, *self.probes], LEARNED)

    def _judge(self, row: Row, decision: Decision, correct: Tensor) -> None:
        """Alarms of the epoch; a raised one ends the training."""
        if self._state.openings == 0:
            self._before = correct
        elif self._before is not None:
            first = next(number for number, d in enumerate(self.decisions) if d.gate == "open")
            evaluations = self.config.train.epochs - first
            before, after = (
                part.numpy().reshape(len(self.validation), -1)
                if part.numel() % len(self.validation) == 0
                else part.numpy()
                for part in (self._before, correct)
            )
            level = self.config.alarms.drop_level
            self.drops.append(paired_drop(before, after, level, evaluations, self.config.seed))
            row |= _drop_figures(self.drops[-1])
            alarm = drop_alarm(self.config.alarms, self.drops)
            if alarm.raised:
                self.stopped = alarm.reason
        figures = {
            "read": row["val.read_cos.clean"],
            "write": None if math.isnan(row["val.write_cos.mean"]) else row["val.write_cos.mean"],
            "residual": row["val.deq.residual"],
            "accuracy": row["val.acc"],
            "loss": row["train.loss"],
        }
        watched = watching(self.config.alarms, decision.epoch, self._state.openings)
        trips = tripped(self.config.alarms, figures, watched=watched, solver_tolerance=self.config.emma.deq_eval_tol)
        if trips:
            self.stopped = "; ".join([*filter(None, [self.stopped]), *(trip.reason for trip in trips)])

    def save(self, path: Path) -> Path:
        """Write everything as safetensors, atomically."""
        tensors = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        for number, state in self.trainer.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{number}/{name}": value for name, value in state.items()}
        if self._before is not None:
            tensors["before"] = self._before
        known = {
            "rows": self.rows,
            "times": self.times,
            "probes": self.probes,
            "drops": [asdict(test) for test in self.drops],
            "stopped": self.stopped,
            "steps": self.trainer.done,
        }
        flat = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        write_bytes(path, save(flat, metadata={"course": json.dumps(known)}))
        return path

    def load(self, path: Path) -> None:
        """Take up what `save` wrote with the same configuration."""
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            known = json.loads(file.metadata()["course"])
        self.model.load_state_dict(_below(tensors, "model/"))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _below(tensors, "optimiser/").items():
            number, part = name.split("/")
            state.setdefault(int(number), {})[part] = value
        groups = self.trainer.optimiser.state_dict()["param_groups"]
        self.trainer.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.trainer.done = known["steps"]
        self.rows, self.times, self.probes = known["rows"], known["times"], known["probes"]
        self.stopped = known["stopped"]
        self.drops = [DropTest(**{**test, "ci95": tuple(test["ci95"])}) for test in known["drops"]]
        self._before = tensors.get("before")
        self._state, self.decisions = decided(self.config.nce, self.all_signals())
        self.model.memory.strength_factor = self.decisions[-1].write_strength_factor

    def summary(self) -> dict[str, Any]:
        """What the report tells of the training, as JSON values."""
        opened = [decision for decision in self.decisions if decision.gate == "open"]
        return {
            "epochs": len(self.rows),
            "steps": self.trainer.done,
            "open_fraction": len(opened) / self.config.train.epochs,
            "lambda_max": max(decision.nce_lambda for decision in self.decisions),
            "opened_epoch": opened[0].epoch if opened else None,
            "significant_drops": sum(test.significant for test in self.drops),
            "drop_epochs": [number for number, row in enumerate(self.rows, 1) if row.get("drop.significant")],
            "drop": asdict(self.drops[-1]) if self.drops else None,
            "stopped": self.stopped,
            "steps_to_90": self.steps_to_90,
            "validation_accuracy": self.rows[-1]["val.acc"],
        }

    def guard_figures(self) -> dict[str, float | None]:
        """What the last epoch measured on validation sequences, and the gate's course, as guards see them."""
        row, told = self.rows[-1], self.summary()
        write = row["val.write_cos.mean"]
        return {
            "accuracy": row["val.acc"],
            "cosine.write": None if math.isnan(write) else write,
            "cosine.read_clean": row["val.read_cos.clean"],
            "collisions": row["val.collisions.mean"],
            "gate.open_fraction": told["open_fraction"],
            "gate.lambda_max": told["lambda_max"],
            "significant_drops": told["significant_drops"],
        }


def steps_to(rows: list[Row], accuracy: float) -> int | None:
    """The least step of rows whose validation accuracy is at a value or above; None: there is none."""
    return min((int(row["step"]) for row in rows if row["val.acc"] >= accuracy), default=None)


def _drop_figures(test: DropTest) -> Row:
    """Columns of the table of epochs: change since the gate opened, its interval, and whether it is a drop."""
    low, high = test.ci95
    return {
        "drop.difference": test.difference,
        "drop.low": low,
        "drop.high": high,
        "drop.p_value": test.p_value,
        "drop.significant": float(test.significant),
    }


def _signals(row: Mapping[str, float]) -> Signals:
    return Signals(row["val.acc"], row["val.read_cos.clean"], row["val.write_cos.mean"])


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def save_model(model: NeedleModel, path: Path) -> Path:
    """Write a model's weights as safetensors, with the factor of its writes' strength."""
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    factor = {"write_strength_factor": json.dumps(model.memory.strength_factor)}
    write_bytes(path, save(weights, metadata=factor))
    return path


def load_model(config: NeedleConfig, path: Path, device: str) -> NeedleModel:
    """What `save_model` wrote, in evaluation mode."""
    model = new_model(config, device)
    model.load_state_dict(load_file(path))
    with safe_open(path, "pt") as file:
        model.memory.strength_factor = json.loads(file.metadata()["write_strength_factor"])
    return model.eval()
