"""A byte model small enough for tests, and text that it learns in seconds."""

from __future__ import annotations

import numpy as np

from pipeline.config.sleepwake import ByteModelConfig
from pipeline.sleepwake.byte_model import ByteModel
from pipeline.sleepwake.text import Bytes

SIZES = ByteModelConfig(width=16, layers=2, heads=2, hidden=32, context=24)


def model(seed: int = 0) -> ByteModel:
    return ByteModel(SIZES, seed)


def text(words: int = 400, seed: int = 0) -> Bytes:
    """Words in random order: letters inside a word are certain, its first one is not."""
    chosen = np.random.default_rng(seed).choice(["alpha ", "bravo ", "charlie ", "delta "], size=words)
    return np.frombuffer("".join(chosen).encode(), np.uint8)
