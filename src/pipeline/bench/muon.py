"""``engram bench muon``: a step of Muon on a byte model's matrices, against PyTorch's own.

Both get the same weights and gradients, and have to take the same step but for PyTorch's rounding. Turns alternate,
figures are medians. Figures go to ``benchmarks/muon/muon-DEVICE.json``.

engram bench muon
engram bench muon --set threads=1 --set model.width=256
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from pipeline.bench.registry import BenchmarkFailed, Figures, register_benchmark
from pipeline.bench.turns import in_turns, prepared

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.config.benchmarks import MuonBenchConfig


@register_benchmark("muon", "milliseconds of an optimiser's step of the byte model, against torch.optim.Muon")
def muon(settings: Sequence[str]) -> Figures:
    """Compare one step of both, then time them in turns.

    Args:
        settings: Overrides of configs/benchmarks/muon.yaml.

    Raises:
        ConfigError: A setting is wrong, or a GPU is asked for and none is visible.
        BenchmarkFailed: Their steps differ by more than rounding.
    """
    import torch

    from pipeline.artifacts import write_json
    from pipeline.config import config_root, default_root, load_section
    from pipeline.config.benchmarks import MuonBenchConfig
    from pipeline.sleepwake.muon import CpuMuon

    config = load_section(MuonBenchConfig, config_root() / "benchmarks" / "muon.yaml", settings)
    device, where = prepared(config)
    begun = _matrices(config, device)
    steps, ways = list[list["Tensor"]](), dict[str, torch.optim.Optimizer]()
    theirs_as_ours = partial(torch.optim.Muon, adjust_lr_fn="match_rms_adamw")
    for name, kind in (("engram", CpuMuon), ("torch.optim.Muon", theirs_as_ours)):
        weights = [torch.nn.Parameter(weight.clone()) for weight, _ in begun]
        for weight, (_, gradient) in zip(weights, begun, strict=True):
            weight.grad = gradient
        ways[name] = kind(weights, lr=1e-3, weight_decay=0.1)
        ways[name].step()
        steps.append([weight.detach() - start for weight, (start, _) in zip(weights, begun, strict=True)])
    apart = max(float((mine - other).norm() / other.norm()) for mine, other in zip(*steps, strict=True))
    seconds = in_turns({name: way.step for name, way in ways.items()}, config.rounds, device)
    ours, theirs = (statistics.median(taken) for taken in seconds.values())
    figures: Figures = {
        "device": where,
        "matrices": len(begun),
        "torch.optim.Muon takes": theirs / ours,
        "engram (ms)": 1000 * ours,
        "torch.optim.Muon (ms)": 1000 * theirs,
        "steps apart": apart,
    }
    write_json(default_root() / "benchmarks" / "muon" / f"muon-{device}.json", dict(figures))
    if not apart <= config.tolerance:
        raise BenchmarkFailed(
            f"bench muon: steps of both are {apart:.3g} apart, expected {config.tolerance:g} at most: "
            "the ratio compares different computations",
            figures,
        )
    return figures


def _matrices(config: MuonBenchConfig, device: str) -> list[tuple[Tensor, Tensor]]:
    """What Muon trains of a new model, each with a gradient of normal numbers."""
    import torch

    from pipeline.sleepwake.byte_training import byte_optimizer
    from pipeline.sleepwake.model import SleepWakeModel

    model = SleepWakeModel(config.model, config.seed).to(device)
    generator = torch.Generator().manual_seed(config.seed)
    weights: list[Tensor] = byte_optimizer(model, 1.0, 0.0, "muon").parts[-1].param_groups[0]["params"]
    return [(weight.detach(), torch.randn(weight.shape, generator=generator).to(device)) for weight in weights]
