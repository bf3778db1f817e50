"""A byte model small enough for tests, and text that it learns in seconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.config.sleepwake import ByteModelConfig, SleepWakeModelConfig, TitansConfig
from pipeline.sleepwake.byte_model import ByteModel
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.text import Bytes

SIZES = ByteModelConfig(width=16, layers=2, heads=2, hidden=32, context=24)


def model(seed: int = 0) -> ByteModel:
    return ByteModel(SIZES, seed)


def text(words: int = 400, seed: int = 0) -> Bytes:
    """Words in random order: letters inside a word are certain, its first one is not."""
    chosen = np.random.default_rng(seed).choice(["alpha ", "bravo ", "charlie ", "delta "], size=words)
    return np.frombuffer("".join(chosen).encode(), np.uint8)


def sleepwake_model(seed: int = 0, **sizes: Any) -> SleepWakeModel:
    titans = TitansConfig(dimension=16, chunk=8, gradients="exact", momentum=0.0, step=0.3, forget=0.002)
    known: dict[str, Any] = {"width": 16, "layers": 2, "heads": 2, "hidden": 32, "context": 24, "window": 6}
    return SleepWakeModel(SleepWakeModelConfig(**(known | {"titans": titans, "convolution": 4} | sizes)), seed)
