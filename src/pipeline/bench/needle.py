"""``engram bench needle``: a training step of the needle model, against a loop of Python over its positions.

The peer is the same model with the same weights, as the document's code runs it: at every position the state is solved,
written, and read. Both compute all losses, gradients, their clipping and AdamW's update, at a learning rate of 0, so
that every step is of the same weights. Once at marked, once at learned writes; turns alternate, figures are medians.
First both are solved to 1e-6, without dropout: their losses and gradients must agree. Figures go to
``benchmarks/needle/needle-DEVICE.json``.

engram bench needle
engram bench needle --set device=cpu --set threads=2
engram bench needle --set device=cuda --set rounds=10
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from pipeline.bench.registry import BenchmarkFailed, Figure, Figures, register_benchmark
from pipeline.bench.turns import in_turns, prepared

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.config.benchmarks import NeedleBenchConfig
    from pipeline.needle.model import Batch, NeedleModel, Outputs

BARS = {"cpu": 10.0, "cuda": 50.0}
"""How often faster the model's step has to be."""

WRITES: tuple[Literal["marked", "learned"], ...] = ("marked", "learned")
_LAMBDA = 0.01  # every term of the loss takes part

Way = Callable[["NeedleModel", "Tensor"], "Outputs"]


@register_benchmark("needle", "milliseconds of a training step of the needle model, against a loop over positions")
def needle(settings: Sequence[str]) -> Figures:
    """Compare losses and gradients, then time both ways in turns, at marked and at learned writes.

    Args:
        settings: Overrides of configs/benchmarks/needle.yaml.

    Raises:
        ConfigError: A setting is wrong, or a GPU is asked for and none is visible.
        BenchmarkFailed: Losses or gradients differ.
    """
    from pipeline.artifacts import write_json
    from pipeline.config import config_root, default_root, load_section
    from pipeline.config.benchmarks import NeedleBenchConfig
    from pipeline.needle.building import made

    config = load_section(NeedleBenchConfig, config_root() / "benchmarks" / "needle.yaml", settings)
    device, where = prepared(config)
    data = config.data.model_copy(update={"train_size": config.batch_size})
    batch = next(made(data, config.seed, "train", device).in_order(config.batch_size))
    rows = {f"{writes} writes": _compared(config, writes, batch, device) for writes in WRITES}
    told: dict[str, Figure] = {"device": where, "bar": BARS[device]}
    told |= {f"{name}: loop takes": row["loop takes"] for name, row in rows.items()}
    title = f"training step, {config.batch_size} sequences of {data.length} tokens, {data.n_pairs} needles"
    figures: Figures = {**told, title: rows}
    write_json(default_root() / "benchmarks" / "needle" / f"needle-{device}.json", dict(figures))
    apart = max(float(row[name]) for row in rows.values() for name in ("loss apart", "gradients apart"))
    if not apart <= config.tolerance:
        raise BenchmarkFailed(
            f"bench needle: losses or gradients of both ways are {apart:.3g} apart, expected {config.tolerance:g} at "
            "most: the ratio compares different computations",
            figures,
        )
    return figures


def _compared(
    config: NeedleBenchConfig, writes: Literal["marked", "learned"], batch: Batch, device: str
) -> dict[str, Figure]:
    """One row: how far both ways are apart, medians and spreads of their steps, and the ratio."""
    from pipeline.needle.model import NeedleModel
    from pipeline.needle.stepwise import forward_stepwise

    ways: dict[str, Way] = {"model": NeedleModel.__call__, "loop": forward_stepwise}
    loss_apart, gradients_apart = _apart(config, writes, batch, device, ways)
    steps = {name: _step(_model(config, writes, device), batch, way) for name, way in ways.items()}
    seconds = in_turns(steps, config.rounds, device)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    row: dict[str, Figure] = {"loop takes": medians["loop"] / medians["model"]}
    for name, times in seconds.items():
        row |= {f"{name} (ms)": 1000 * medians[name], f"{name}, least to most": _spread(times)}
    return row | {"loss apart": loss_apart, "gradients apart": gradients_apart}


def _spread(seconds: Sequence[float]) -> str:
    return f"{1000 * min(seconds):.4g} to {1000 * max(seconds):.4g}"


def _model(
    config: NeedleBenchConfig, writes: Literal["marked", "learned"], device: str, exact: bool = False
) -> NeedleModel:
    """The model in training mode; exact: solved to 1e-6, nothing dropped."""
    from pipeline.config.emma import EmmaConfig, ReadConfig
    from pipeline.needle.layout import Layout
    from pipeline.needle.model import NeedleModel
    from pipeline.needle.tasks.registry import task_of

    emma = EmmaConfig(writes=writes)
    if exact:
        emma = emma.model_copy(update={"deq_max_iter": 100, "deq_tol": 1e-6, "value_dropout": 0.0})
    layout = Layout(**task_of(config.data).layout)  # type: ignore[arg-type]
    return NeedleModel(config.model, emma, config.memory, ReadConfig(), layout, config.seed).to(device).train()


def _loss(model: NeedleModel, batch: Batch, way: Way) -> Tensor:
    from pipeline.config.emma import NeedleLossConfig
    from pipeline.needle.losses import loss

    return loss(model, way(model, batch.tokens), batch, NeedleLossConfig(), model.memory.config, _LAMBDA).total


def _apart(
    config: NeedleBenchConfig, writes: Literal["marked", "learned"], batch: Batch, device: str, ways: dict[str, Way]
) -> tuple[float, float]:
    """Differences of the losses and of all gradients, as shares of the loss and of the gradients' norm."""
    import torch

    losses, gradients = list[float](), list["Tensor"]()
    for way in ways.values():
        model = _model(config, writes, device, exact=True)
        total = _loss(model, batch, way)
        total.backward()  # type: ignore[no-untyped-call]
        losses.append(float(total.detach()))
        gradients.append(torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None]))
    change = torch.linalg.vector_norm(gradients[0] - gradients[1]) / torch.linalg.vector_norm(gradients[0])
    return abs(losses[0] - losses[1]) / abs(losses[0]), float(change)


def _step(model: NeedleModel, batch: Batch, way: Way) -> Callable[[], None]:
    """A whole training step that leaves the weights as they are."""
    import torch

    optimiser = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        _loss(model, batch, way).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return step
