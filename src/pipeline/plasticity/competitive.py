"""Competitive learning by STDP alone, as a learner: one pass without labels or gradients, then neurons are named.

    learner = CompetitiveLearner(config.unsupervised, outputs=10, seed=1337)
    learner.wake(task)                         # labels of its first images name the neurons once they have learned
    answers = learner.logits(images).argmax(1)

Nothing is kept for sleep: no image, no gradient, no teacher. (Competitive learning: Rumelhart & Zipser 1985.)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from pipeline.artifacts import write_bytes
from pipeline.config.plasticity import UnsupervisedConfig
from pipeline.continual.stream import Labelled
from pipeline.images import SIDE
from pipeline.plasticity.buffer import TaskBuffer
from pipeline.plasticity.kept import buffer_table, neurons_table
from pipeline.plasticity.protocol import OnStep, ReceptiveFields
from pipeline.plasticity.unsupervised import CompetingLayer, assign, evidence, learn, newborn, respond

_ASKED = 2**32  # seeds lie below: spikes of an examination are none that learning drew


class CompetitiveLearner:
    """Neurons that compete, and the classes that they stand for.

    Args:
        config: The neurons and their rule.
        outputs: How many classes there are.
        seed: Of weights, order and spikes.
    """

    step_figure = "weight_change"
    notes: tuple[str, ...] = (
        "No sleep: the neurons learn in one pass by STDP alone; no image is kept, so there is nothing to replay.",
    )

    def __init__(self, config: UnsupervisedConfig, outputs: int, seed: int) -> None:
        self.config, self.outputs, self.seed = config, outputs, seed
        self.generator = torch.Generator().manual_seed(seed)
        self.layer = newborn(SIDE * SIDE, config, self.generator)
        self.shares = torch.full((config.neurons, outputs), 1 / outputs)
        self.buffer = TaskBuffer(0, outputs, "uniform", np.random.default_rng(seed))
        self.tasks, self.steps = 0, 0

    def logits(self, images: Tensor) -> Tensor:
        """Evidence for each class: images uint8 (N, 784), nats (N, K); the same images get the same spikes."""
        return evidence(self._responses(images), self.shares)

    def wake_steps(self, task: Labelled) -> int:
        """Batches of the pass."""
        return -(-len(task) // self.config.batch_size)

    def wake(self, task: Labelled, on_step: OnStep | None = None) -> None:
        """See every image once; then labels of the first ones say what neurons stand for."""
        self.layer = learn(task.images, self.config, self.generator, on_step, self.layer)
        self.steps += self.wake_steps(task)
        self.name(task)

    def name(self, task: Labelled) -> None:
        """Let the labels of a task's first images say what each neuron stands for."""
        named = slice(0, self.config.labelled_images)
        responses = respond(self.layer, task.images[named], self.config, self.generator)
        # the order in memory decides the last bits of every product: as of a learner from its file
        self.shares = assign(responses, task.labels[named], self.outputs).contiguous()
        self.tasks += 1

    def sleep_steps(self) -> int:
        """None: there is nothing to replay."""
        return 0

    def sleep(self, on_step: OnStep | None = None) -> None:
        """Nothing happens; see ``notes``."""

    def save(self, path: Path) -> Path:
        """Write everything as safetensors, atomically."""
        tensors = {
            "weights": self.layer.weights,
            "thresholds": self.layer.thresholds,
            "shares": self.shares,
            "generator": self.generator.get_state(),
        }
        known = {"tasks": self.tasks, "steps": self.steps}
        write_bytes(path, save(tensors, metadata={"learner": json.dumps(known)}))
        return path

    def load(self, path: Path) -> None:
        """Take up what `save` wrote."""
        tensors = load_file(path)
        self.layer = CompetingLayer(tensors["weights"], tensors["thresholds"])
        self.shares = tensors["shares"]
        self.generator.set_state(tensors["generator"])
        with safe_open(path, "pt") as file:
            known = json.loads(file.metadata()["learner"])
        self.tasks, self.steps = known["tasks"], known["steps"]

    def kept(self) -> dict[str, pa.Table]:
        """The neurons; no image is kept."""
        return {"buffer": buffer_table(self.buffer), "neurons": neurons_table(self.layer, self.shares)}

    def activity(self, images: Tensor) -> dict[str, Any]:
        """Spikes a neuron and step, and how many neurons fire at any of these images."""
        responses = self._responses(images)
        return {
            "spike_rate": float(responses.mean()) / self.config.answer_steps,
            "active_neurons": int((responses.sum(0) > 0).sum()),
            "plasticity": {},
        }

    def receptive_fields(self) -> ReceptiveFields:
        """Weights of every neuron, and the class that most of its spikes were for."""
        return ReceptiveFields(self.layer.weights, self.shares.argmax(1))

    def about(self) -> str:
        """What it is, in a few words."""
        return f"{self.config.neurons} competing LIF neurons, STDP alone"

    def _responses(self, images: Tensor) -> Tensor:
        asked = torch.Generator().manual_seed(self.seed + _ASKED)
        return respond(self.layer, images, self.config, asked)
