"""Two ways to compute the same, timed in turns on one device."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.config.benchmarks import PeerBenchConfig


def prepared(config: PeerBenchConfig) -> tuple[str, str]:
    """The device, with as many threads as are configured, and the words for it.

    Raises:
        ConfigError: A GPU is asked for and none is visible.
    """
    import torch

    from pipeline.devices import device_name, device_of

    device = device_of(config.device)
    if device == "cuda":
        return device, device_name(device)
    if config.threads:
        torch.set_num_threads(config.threads)
    return device, f"cpu, {torch.get_num_threads()} threads"


def in_turns(ways: Mapping[str, Callable[[], object]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of every way, once a round, behind one round that is not timed."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            once = _timed(way, device)
            if turn:
                seconds[name].append(once)
    return seconds


def _timed(way: Callable[[], object], device: str) -> float:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    way()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
