"""Vectors without a model: bags of words in random directions, so that shared words mean similar vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.stores import Episodes

DIMENSION = 64


class BagOfWords:
    """A deterministic stand-in for the sentence encoder."""

    name = "bag-of-words"
    digest = "0" * 64
    dimension = DIMENSION

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), DIMENSION), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in text.lower().strip(".?").split():
                seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
                row += np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
            row /= np.linalg.norm(row)
        return vectors


Candidates = Callable[..., Episodes]
