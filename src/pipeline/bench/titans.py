"""``engram bench titans``: the associative memory forward and backward, against titans-pytorch's.

Both get the same keys, values, queries and gates, and have to give the same reads and the same gradients; once with
gradients at the start of chunks, once exact ones. Turns alternate, figures are medians. Figures go to
``benchmarks/titans/titans-DEVICE.json``.

engram bench titans
engram bench titans --set device=cpu --set threads=2
engram bench titans --set device=cuda --set batch=32 --set rounds=10
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from pipeline.bench.registry import BenchmarkFailed, Figure, Figures, register_benchmark
from pipeline.bench.turns import in_turns, prepared

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.config.benchmarks import TitansBenchConfig

_STEP = 0.3  # the largest step that is drawn; longer ones make a memory of nearly equal keys diverge
_FORGET = 0.05


@register_benchmark("titans", "milliseconds of the associative memory of sequences, against titans-pytorch")
def titans(settings: Sequence[str]) -> Figures:
    """Compare reads and gradients, then time both in turns.

    Args:
        settings: Overrides of configs/benchmarks/titans.yaml.

    Raises:
        ConfigError: A setting is wrong, or a GPU is asked for and none is visible.
        BenchmarkFailed: Reads or gradients differ.
    """
    from pipeline.artifacts import write_json
    from pipeline.config import config_root, default_root, load_section
    from pipeline.config.benchmarks import TitansBenchConfig

    config = load_section(TitansBenchConfig, config_root() / "benchmarks" / "titans.yaml", settings)
    device, where = prepared(config)
    rows = {f"{name} gradients": _compared(config, device, name == "exact") for name in ("chunk", "exact")}
    told: dict[str, Figure] = {"device": where}
    told |= {f"{name}: titans-pytorch takes": row["titans-pytorch takes"] for name, row in rows.items()}
    size = config.memory.dimension
    figures: Figures = {**told, f"{config.batch} sequences of {config.length}, {size} × {size}": rows}
    write_json(default_root() / "benchmarks" / "titans" / f"titans-{device}.json", dict(figures))
    apart = max(float(row[name]) for row in rows.values() for name in ("reads apart", "gradients apart"))
    if not apart <= config.tolerance:
        raise BenchmarkFailed(
            f"bench titans: reads or gradients of both are {apart:.3g} apart, expected {config.tolerance:g} at most: "
            "the ratio compares different computations",
            figures,
        )
    return figures


def _compared(config: TitansBenchConfig, device: str, exact: bool) -> dict[str, Figure]:
    """One row: how far both are apart, medians of their passes, peaks of memory on a GPU, and the ratio."""
    import torch

    from pipeline.sleepwake.titans_library import LEARNERS

    given = _given(config, device)
    ways = {name: partial(_pass, name, given, config.memory.chunk, exact) for name in LEARNERS}
    found, peaks = dict[str, list["Tensor"]](), dict[str, Figure]()
    for name, way in ways.items():
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        found[name] = way()
        if device == "cuda":
            peaks[f"{name}: peak (MiB)"] = torch.cuda.max_memory_allocated() / 2**20
    seconds = in_turns(ways, config.rounds, device)
    ours, theirs = (statistics.median(seconds[name]) for name in ("engram", "titans-pytorch"))
    row: dict[str, Figure] = {"titans-pytorch takes": theirs / ours, "engram (ms)": 1000 * ours}
    row |= {"titans-pytorch (ms)": 1000 * theirs} | peaks
    pairs = list(zip(found["engram"], found["titans-pytorch"], strict=True))
    apart = [float((mine - other).norm() / other.norm()) for mine, other in pairs]
    return row | {"reads apart": apart[0], "gradients apart": max(apart[1:])}


def _given(config: TitansBenchConfig, device: str) -> list[Tensor]:
    """Keys and queries of length 1, values, and the gates momentum, step and forget, as leaves."""
    import torch
    from torch.nn.functional import normalize

    generator = torch.Generator().manual_seed(config.seed)
    shape, size = (config.batch, config.length), config.memory.dimension
    keys, values, queries = (torch.randn(*shape, size, generator=generator) for _ in range(3))
    gates = torch.rand(3, *shape, generator=generator) * torch.tensor([1.0, _STEP, _FORGET])[:, None, None]
    parts = [normalize(keys, dim=-1), values, normalize(queries, dim=-1), *gates]
    return [part.to(device).requires_grad_() for part in parts]


def _pass(name: str, given: list[Tensor], chunk: int, exact: bool) -> list[Tensor]:
    """Reads, and the gradients of their squares in all that was given."""
    import torch

    from pipeline.sleepwake.titans import Gates
    from pipeline.sleepwake.titans_library import LEARNERS

    keys, values, queries, momentum, step, forget = given
    reads = LEARNERS[name](keys, values, queries, Gates(momentum, step, forget), chunk, None, exact).reads
    return [reads.detach(), *torch.autograd.grad(reads.square().sum(), given)]
