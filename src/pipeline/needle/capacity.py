"""How many pairs one bucket holds: random unitary keys and random values, no learning."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.config.emma import HolographicConfig
from pipeline.needle.memory import HolographicMemory, Writes


@torch.no_grad()
def capacity(dimension: int, values: int, pairs: int, trials: int, seed: int) -> dict[str, float]:
    """Read every one of ``pairs`` random pairs from one bucket.

    Args:
        dimension: D of keys, values and the trace.
        values: Prototypes that a read is compared with.
        pairs: Written to the bucket.
        trials: Memories.
        seed: Of keys, values and prototypes.

    Returns:
        ``accuracy`` of the nearest prototype, ``read_cosine`` of raw reads with true values, and what theory says of
        it, ``theory``: 1/√n.
    """
    generator = torch.Generator().manual_seed(seed)
    prototypes = normalize(torch.randn(values, dimension, generator=generator), dim=-1)
    labels = torch.randint(values, (trials, pairs), generator=generator)
    memory = HolographicMemory(
        HolographicConfig(bucket_count=1, k_top=1, write_decay=1.0, write_norm_clip=1.0), dimension
    )
    keys = unitary(torch.randn(trials, pairs, dimension, generator=generator))
    gates, positions = torch.ones(trials, pairs), torch.arange(pairs).expand(trials, pairs)
    writes = Writes(positions, keys, prototypes[labels], gates, torch.zeros_like(labels))
    asked = torch.full((trials, pairs), pairs)
    reads = normalize(memory.read(asked, keys, writes, prototypes)[0], dim=-1)
    right = (reads @ prototypes.T).argmax(-1) == labels
    cosines = (reads * prototypes[labels]).sum(-1)
    return {"accuracy": float(right.float().mean()), "read_cosine": float(cosines.mean()), "theory": pairs**-0.5}


def unitary(vectors: Tensor) -> Tensor:
    """Spectra of vectors (..., D), every frequency of magnitude 1."""
    spectra = torch.fft.rfft(vectors)
    magnitude_one: Tensor = spectra / spectra.abs().clamp_min(1e-12)
    return magnitude_one
