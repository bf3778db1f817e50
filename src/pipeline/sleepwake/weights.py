"""Which weights a sleep may change, and how far it moved them."""

from __future__ import annotations

import math

from torch import nn

from pipeline.config.sleepwake_night import SleepConfig


def is_trained(name: str, config: SleepConfig, memory_block: int) -> bool:
    """Whether a sleep may change a parameter; what the memory itself is made of stays as it is."""
    if name.startswith("memory."):
        return False
    if config.trained == "feed_forward":
        return ".up." in name or ".down." in name
    if config.trained == "later_blocks":
        return name.startswith("blocks.") and int(name.split(".")[1]) >= memory_block
    return True


def weight_change(before: nn.Module, after: nn.Module) -> dict[str, float]:
    """‖Δθ‖ / ‖θ‖ of every module that is a direct child or a block."""
    apart, size = dict[str, float](), dict[str, float]()
    new = dict(after.named_parameters())
    for name, old in before.named_parameters():
        parts = name.split(".")
        module = ".".join(parts[:2]) if parts[0] == "blocks" else parts[0]
        difference = new[name].detach().cpu() - old.detach().cpu()
        apart[module] = apart.get(module, 0.0) + float(difference.square().sum())
        size[module] = size.get(module, 0.0) + float(old.detach().square().sum())
    return {module: math.sqrt(apart[module] / max(size[module], 1e-12)) for module in apart}
