"""``engram bench columns``: a training step of the spiking columns against the two obvious ways to write it.

The peers see the same images, prompt, mask and neurons. *SpikingJelly's step loop* calls a linear layer and an
``LIFNode`` once a time step. *The original's arrangement* computes every column for every task, keeps the whole
sequence for back-propagation through time, and has a sigmoid of the potential for a spike.

All take turns, a pass over the images each, so that a step finds in the processor's caches what the step before it
left there, as it does in training; taking turns by steps, each would find what another network left.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pipeline.bench.registry import Figures, register_benchmark

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pipeline.columns.tasks import Examples
    from pipeline.config import ColumnsConfig

EPOCHS = 6
Step = Callable[["Tensor", "Tensor"], None]
Answer = Callable[["Tensor"], "Tensor"]


@register_benchmark("columns", "a training step of the spiking columns, against SpikingJelly's step loop")
def columns(settings: Sequence[str]) -> Figures:
    """Median step of `EPOCHS` passes over the images, and validation accuracy after them.

    Args:
        settings: Overrides of ``columns/soft-sleep``; its second task is learned.

    Raises:
        DataError: The images are neither here nor to be had.
    """
    import torch

    from pipeline.columns.brain import single_thread
    from pipeline.columns.tasks import load_tasks
    from pipeline.config import ColumnsConfig, load_config
    from pipeline.images import load_images

    config = load_config("columns/soft-sleep", settings)
    assert isinstance(config, ColumnsConfig)
    single_thread()
    torch.manual_seed(config.seed)
    data = load_tasks(config.tasks, config.dataset, config.seed, load_images)[config.tasks[1].name]
    ways = {
        "ours": _ours(config),
        "SpikingJelly's step loop": _spikingjelly(config),
        "the original's arrangement": _original(config),
    }
    batches = _batches(data.train, config.training.batch_size)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(EPOCHS):
        for name, (step, _) in ways.items():
            for images, answers in batches:
                start = time.perf_counter()
                step(images, answers)
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    rows: dict[str, dict[str, float | int | str]] = {
        name: {
            "step (ms)": 1000 * medians[name],
            "ours is faster by": medians[name] / medians["ours"],
            "validation accuracy": _accuracy(answer, data.validation),
        }
        for name, (_, answer) in ways.items()
    }
    return {f"batch of {config.training.batch_size}, {config.model.time_steps} time steps, one thread": rows}


def _batches(examples: Examples, size: int) -> list[tuple[Tensor, Tensor]]:
    import torch

    whole = len(examples) // size * size
    return list(
        zip(torch.split(examples.images[:whole], size), torch.split(examples.answers[:whole], size), strict=True)
    )


def _accuracy(answer: Answer, examples: Examples) -> float:
    import torch

    with torch.no_grad():
        return float(((answer(examples.images) > 0) == (examples.answers > 0.5)).float().mean())


def _ours(config: ColumnsConfig) -> tuple[Step, Answer]:
    from torch.nn.functional import binary_cross_entropy_with_logits

    from pipeline.columns.brain import newborn
    from pipeline.columns.gated_adam import GatedAdam
    from pipeline.columns.losses import answered

    brain, task = newborn(config), config.tasks[1].name
    optimiser, chosen = GatedAdam(brain.network), brain.controller.bank(task)

    def step(images: Tensor, answers: Tensor) -> None:
        mask = brain.controller.mask(task)
        logits, spikes = answered(brain.network, images, brain.controller.prompt(task), mask, chosen)
        loss = binary_cross_entropy_with_logits(logits, answers)
        (loss + spikes + brain.controller.regulariser(task, [])).backward()  # type: ignore[no-untyped-call]
        optimiser.step(chosen, brain.controller.gate(task, mask), config.training.learning_rate)
        brain.controller.step(task)

    return step, lambda images: brain.logits(images, task)


def _learns(parts: Sequence[nn.Module], forward: Answer, rate: float) -> tuple[Step, Answer]:
    """A step of plain Adam over the parameters of ``parts``."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    optimiser = torch.optim.Adam([p for part in parts for p in part.parameters()], lr=rate, betas=(0.9, 0.99))

    def step(images: Tensor, answers: Tensor) -> None:
        optimiser.zero_grad()
        binary_cross_entropy_with_logits(forward(images), answers).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step, forward


def _spikingjelly(config: ColumnsConfig) -> tuple[Step, Answer]:
    """The columns of the task's bank, as SpikingJelly's tutorials write a network of one hidden layer."""
    import torch
    from spikingjelly.activation_based import functional, layer, neuron, surrogate
    from torch import nn

    model, soft = config.model, config.masking.soft_columns
    count, hidden = soft.base_columns, model.hidden_per_column
    encoder = layer.Linear(784 + config.masking.prompt_vector_dim, count * hidden)
    spiking = neuron.LIFNode(
        tau=1 / (1 - model.beta),
        decay_input=False,
        v_reset=0.0,
        detach_reset=True,
        surrogate_function=surrogate.ATan(alpha=model.surrogate_alpha),
    )
    readout, mask = nn.Linear(count * hidden, 1), torch.full((count,), 1 / count).repeat_interleave(hidden)
    network, prompt = nn.Sequential(encoder, spiking), torch.ones(config.masking.prompt_vector_dim) / 4

    def forward(images: Tensor) -> Tensor:
        functional.reset_net(network)
        seen = torch.cat([images, prompt.expand(len(images), -1)], 1)
        spikes = torch.zeros(len(images), count * hidden)
        for _ in range(model.time_steps):
            spikes = spikes + network(seen)
        logits: Tensor = readout(spikes / model.time_steps * mask)[:, 0]
        return logits

    return _learns([network, readout], forward, config.training.learning_rate)


def _original(config: ColumnsConfig) -> tuple[Step, Answer]:
    """All columns, a smooth potential through time, one readout that all of them share."""
    import torch
    from torch import nn

    model, soft = config.model, config.masking.soft_columns
    count, hidden = soft.total_columns, model.hidden_per_column
    encoder, readout = nn.Linear(784 + config.masking.prompt_vector_dim, count * hidden), nn.Linear(hidden, 1)
    mask = torch.cat([torch.ones(soft.base_columns) / soft.base_columns, torch.zeros(count - soft.base_columns)])
    prompt = torch.ones(config.masking.prompt_vector_dim) / 4

    def forward(images: Tensor) -> Tensor:
        current = encoder(torch.cat([images, prompt.expand(len(images), -1)], 1))
        potential, total = torch.zeros_like(current), torch.zeros_like(current)
        for _ in range(model.time_steps):
            potential = model.beta * potential + current
            spikes = torch.sigmoid(potential - 1)
            total = total + spikes
            potential = potential * (1 - spikes)
        mixed = (total / model.time_steps).view(len(images), count, hidden) * mask.view(1, -1, 1)
        logits: Tensor = readout(mixed.sum(1))[:, 0]
        return logits

    return _learns([encoder, readout], forward, config.training.learning_rate)
