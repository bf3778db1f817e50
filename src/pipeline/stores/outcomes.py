"""What stores of every kind record and report: their encoder, their counters, and what writing and recall brought."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.stores.episode import Episode


@dataclass(frozen=True)
class EncoderIdentity:
    """Which encoder made the keys: its name, the SHA-256 of its weights (hex), and the length of its vectors."""

    name: str
    digest: str
    dimension: int


@dataclass
class Counters:
    """What happened to a store since it was founded; saved with it.

    ``recalls`` counts queries, ``hits`` those that a retriever judged answered.
    """

    writes: int = 0
    reused: int = 0
    replaced: int = 0
    refused: int = 0
    recalls: int = 0
    hits: int = 0
    pruned: int = 0
    forgotten: int = 0


@dataclass(frozen=True)
class WriteReport:
    """Ids by what became of them; ``evicted`` made room when the store was full."""

    written: tuple[str, ...]
    reused: tuple[str, ...]
    replaced: tuple[str, ...]
    refused: tuple[str, ...]
    evicted: tuple[str, ...]


@dataclass(frozen=True)
class Recollection:
    """One recalled episode and the cosine of its key to the query."""

    episode: Episode
    score: float


@dataclass(frozen=True)
class Completion:
    """A completed cue: the dense unit vector, the episode with the largest share in it, and that share."""

    vector: NDArray[np.float32]
    episode: Episode
    share: float
