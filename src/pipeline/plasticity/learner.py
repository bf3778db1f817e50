"""A network that learns tasks one after another with all of its kinds of plasticity, and what it keeps between them.

    learner = PlasticLearner(config.model, config.sleep, outputs=10, seed=1337)
    for task in stream.train:
        learner.wake(task)
        learner.sleep()

Rival methods and ablations are the same learner with parts turned off (`pipeline.plasticity.variants`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from pipeline.artifacts import write_bytes
from pipeline.config.liquid import LiquidModelConfig, PlasticitySleepConfig
from pipeline.continual.buffer import randomly_shifted
from pipeline.continual.stream import Labelled
from pipeline.plasticity.buffer import TaskBuffer
from pipeline.plasticity.importance import Consolidation, PathIntegral, fisher
from pipeline.plasticity.kept import buffer_table, importance_table
from pipeline.plasticity.local import LocalPlasticity
from pipeline.plasticity.network import LiquidSpikingNetwork
from pipeline.plasticity.protocol import OnStep

HELD_OUT = 128  # images of a task that judge the controller and are not learned from, a tenth of the task at most
JUDGED = 64  # replayed images beside them
EVALUATED = 1000  # images a batch where nothing is learned


class PlasticLearner:
    """One network, its memory and its generators.

    Args:
        model: The network and its plasticity.
        sleep: Consolidation.
        outputs: How many answers there are.
        seed: Of weights, buffer, replay and controller.
    """

    step_figure = "loss"  # nats
    notes: tuple[str, ...] = ()

    def __init__(self, model: LiquidModelConfig, sleep: PlasticitySleepConfig, outputs: int, seed: int) -> None:
        self.model, self.settings = model, sleep
        self.network = LiquidSpikingNetwork(model, outputs, seed)
        self.generator = np.random.default_rng([seed, 1])
        self.labels_drawn = torch.Generator().manual_seed(seed)
        self.buffer = TaskBuffer(model.replay_buffer_size, outputs, model.replay_sampling_strategy, self.generator)
        self.consolidation = Consolidation(self.network, model.consolidation_strength)
        self.local = LocalPlasticity(self.network, model, seed)
        self.tasks, self.steps = 0, 0

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Answers: images uint8 (N, 784), logits (N, K)."""
        self.network.eval()
        found = torch.cat([self.network(part.float() / 255) for part in torch.split(images, EVALUATED)])
        self.network.train()
        return found

    def wake_steps(self, task: Labelled) -> int:
        """How many steps a task takes."""
        return self.model.num_epochs * -(-(len(task) - self._held_out(task)) // self.model.batch_size)

    def _held_out(self, task: Labelled) -> int:
        return min(HELD_OUT, len(task) // 10) if self.local.controller is not None else 0

    def wake(self, task: Labelled, on_step: OnStep | None = None) -> None:
        """Learn a task's images, and keep some of them."""
        config, held_out = self.model, self._held_out(task)
        judge, learned = _rows(task, slice(0, held_out)), _rows(task, slice(held_out, None))
        rate = config.learning_rate * (config.plasticity_decay**self.tasks if config.use_continual_learning else 1.0)
        optimiser = torch.optim.AdamW(self.network.parameters(), rate, weight_decay=config.weight_decay)
        measured = config.use_continual_learning and (self.tasks + 1) % config.compute_importance_interval == 0
        path = PathIntegral(self.network) if measured and config.importance == "synaptic-intelligence" else None
        for epoch in range(config.num_epochs):
            order = torch.from_numpy(self.generator.permutation(len(learned)))
            for rows in torch.split(order, config.batch_size):
                loss = self._wake_step(learned.images[rows], learned.labels[rows], optimiser, path, judge, epoch == 0)
                if on_step:
                    on_step(loss)
        if path is not None:
            self.consolidation.add(path.importance())
        elif measured:
            chosen = self.generator.permutation(len(learned))[: config.fisher_samples]
            images = learned.images[torch.from_numpy(chosen)].float() / 255
            self.consolidation.add(fisher(self.network, images, self.labels_drawn))
        self.tasks += 1

    def _wake_step(
        self,
        images: Tensor,
        labels: Tensor,
        optimiser: torch.optim.Optimizer,
        path: PathIntegral | None,
        judge: Labelled,
        keep: bool,
    ) -> float:
        config, new = self.model, len(labels)
        replayed = None
        parts = [images.float() / 255]
        if config.use_experience_replay and len(self.buffer):
            replayed = self.buffer.draw(config.replay_batch_size, config.shift)
            parts.append(replayed.images)
        acts = self.local.due(self.steps)
        logits, spikes = self.network.with_spikes(torch.cat(parts), self.local.layers if acts else ())
        loss = cross_entropy(logits[:new], labels)
        if replayed is not None:
            loss = loss + cross_entropy(logits[new:], replayed.labels)
            if config.replay_logits:
                loss = loss + config.replay_logits * mse_loss(logits[new:], replayed.logits)
        self._descend(loss, optimiser, path)
        if acts:
            targets = labels if replayed is None else torch.cat([labels, replayed.labels])
            reward = torch.where(logits.detach().argmax(-1) == targets, 1.0, -1.0)
            if len(judge) and self.local.judged(self.steps):
                self.local.judge(*self._judged(judge), spikes, reward)
            self.local.update(spikes, reward)
        if config.use_experience_replay and keep:
            kept = logits[:new].detach()
            self.buffer.offer(images, labels, kept, cross_entropy(kept, labels, reduction="none"), self.tasks)
        self.steps += 1
        return float(loss.detach())

    def _descend(self, loss: Tensor, optimiser: torch.optim.Optimizer, path: PathIntegral | None = None) -> None:
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        noted = {
            name: value.grad.clone()
            for name, value in self.network.named_parameters()
            if path is not None and value.grad is not None
        }
        if self.model.use_continual_learning:
            self.consolidation.add_gradients()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.model.gradient_clip)
        optimiser.step()
        if path is not None:
            path.note(noted)

    def _judged(self, judge: Labelled) -> tuple[Tensor, Tensor]:
        """Held-out images of the task, and replayed ones of earlier tasks."""
        images, labels = judge.images.float() / 255, judge.labels
        if self.model.use_experience_replay and len(self.buffer):
            replayed = self.buffer.draw(JUDGED, 0)
            images, labels = torch.cat([images, replayed.images]), torch.cat([labels, replayed.labels])
        return images, labels

    def sleep_steps(self) -> int:
        """How many steps the next sleep takes."""
        return self.settings.epochs * -(-len(self.buffer) // self.settings.batch_size)

    def sleep(self, on_step: OnStep | None = None) -> None:
        """Consolidate: replay the buffer alone, against labels and the network as it fell asleep."""
        settings, steps = self.settings, self.sleep_steps()
        if not steps:
            return
        teacher = deepcopy(self.network).requires_grad_(False).eval()
        optimiser = torch.optim.AdamW(self.network.parameters(), settings.learning_rate, weight_decay=0.0)
        done = 0
        for _ in range(settings.epochs):
            order = torch.from_numpy(self.generator.permutation(len(self.buffer)))
            for rows in torch.split(order, settings.batch_size):
                share = 0.05 + 0.95 * (1 + math.cos(math.pi * done / steps)) / 2
                for group in optimiser.param_groups:
                    group["lr"] = settings.learning_rate * share
                images = randomly_shifted(self.buffer.images[rows], settings.shift, self.generator).float() / 255
                logits = self.network(images)
                loss = cross_entropy(logits, self.buffer.labels[rows])
                if settings.distillation_weight:
                    loss = loss + settings.distillation_weight * mse_loss(logits, teacher(images))
                self._descend(loss, optimiser)
                done += 1
                self.steps += 1
                if on_step:
                    on_step(float(loss.detach()))
        self.buffer.logits = self.logits(self.buffer.images)

    def save(self, path: Path) -> Path:
        """Write everything as safetensors, atomically: the next task goes on from the file as from memory."""
        parts: dict[str, Mapping[str, Tensor]] = {
            "network": self.network.state_dict(),
            "buffer": self.buffer.state(),
            "consolidation": self.consolidation.state(),
            "controller": {} if self.local.controller is None else self.local.controller.state(),
            "drawn": {"labels": self.labels_drawn.get_state()},
        }
        for layer, state in self.local.states.items():
            parts[f"rule-{layer}"] = state
        tensors = {f"{part}/{name}": v.detach().contiguous() for part, own in parts.items() for name, v in own.items()}
        known = {"generator": self.generator.bit_generator.state, "tasks": self.tasks, "steps": self.steps}
        write_bytes(path, save(tensors, metadata={"learner": json.dumps(known)}))
        return path

    def load(self, path: Path) -> None:
        """Take up what `save` wrote."""
        from safetensors import safe_open

        tensors = load_file(path)

        def of(part: str) -> dict[str, Tensor]:
            return {name.removeprefix(f"{part}/"): v for name, v in tensors.items() if name.startswith(f"{part}/")}

        self.network.load_state_dict(of("network"))
        self.buffer.restore(of("buffer"))
        self.consolidation.restore(of("consolidation"))
        if self.local.controller is not None:
            self.local.controller.restore(of("controller"))
        self.local.states = {layer: of(f"rule-{layer}") for layer in self.local.layers if of(f"rule-{layer}")}
        self.labels_drawn.set_state(of("drawn")["labels"])
        with safe_open(path, "pt") as file:
            known = json.loads(file.metadata()["learner"])
        self.generator.bit_generator.state = known["generator"]
        self.tasks, self.steps = known["tasks"], known["steps"]

    def kept(self) -> dict[str, pa.Table]:
        """The buffer, and every weight's importance."""
        return {"buffer": buffer_table(self.buffer), "importance": importance_table(self.consolidation)}

    @torch.no_grad()
    def activity(self, images: Tensor) -> dict[str, Any]:
        """Spikes a neuron and step of the blocks' encoders, and the multiples that the controller ended with."""
        layers = range(self.model.num_layers)
        spikes = self.network.eval().with_spikes(images.float() / 255, layers)[1]
        controller = self.local.controller
        multiples = {} if controller is None else controller.multiples()
        return {
            "spike_rate": float(np.mean([float(spikes[layer].after.mean()) for layer in layers])),
            "plasticity": {
                name: {str(layer): float(value) for layer, value in zip(self.local.layers, values, strict=True)}
                for name, values in multiples.items()
            },
        }

    def receptive_fields(self) -> None:
        """No neuron of a block sees pixels itself."""

    def about(self) -> str:
        """What it is, in a few words."""
        blocks = f"{self.model.num_layers} block" + ("s" if self.model.num_layers > 1 else "")
        return f"{blocks} of {self.model.spiking_units} spiking and {self.model.liquid_units} liquid units"


def _rows(task: Labelled, rows: slice) -> Labelled:
    return Labelled(task.images[rows], task.labels[rows])
