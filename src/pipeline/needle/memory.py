"""One holographic memory a sequence: pairs are bound, summed in buckets, and unbound, all in the frequency domain.

A key belongs to the bucket whose fixed random direction it is closest to. A write of a pair (k, v) with gate g to
bucket b, and a read by a key q from its own bucket, at which n pairs were written, are

    M_b ← δ^g M_b + min(g s, clip) · k̂ v̂,        read = normalize(irfft(conj(q̂) M_b)).

With unitary keys the raw read of one of n pairs has cosine 1/√n with the true value. Decay counts writes to a bucket,
not positions, so that noise between needles costs nothing. A read comes before a write at the same position.

Since reads are sums over earlier writes, they are one weighted matrix product for all queries of a batch, whatever the
length; the weight of a write in a read (``HolographicMemory.reach``) holds order, bucket and decay. Plate 1995,
doi:10.1109/72.377968.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from pipeline.config.emma import HolographicConfig


@dataclass(frozen=True)
class Writes:
    """What a batch of sequences writes, in order of time.

    Attributes:
        positions: Ascending, (B, W); the sequence's length or more where there is no write.
        keys: Spectra, (B, W, F), F = D/2 + 1.
        values: Norm 1, (B, W, D).
        gates: From 0 to 1, (B, W); 0 where there is no write.
        buckets: Of each key, (B, W).
    """

    positions: Tensor
    keys: Tensor
    values: Tensor
    gates: Tensor
    buckets: Tensor


def bind(keys: Tensor, values: Tensor) -> Tensor:
    """Spectra (..., F) of the circular convolution of keys, given as spectra (..., F), and values (..., D)."""
    bound: Tensor = keys * torch.fft.rfft(values)
    return bound


def unbind(keys: Tensor, traces: Tensor) -> Tensor:
    """Values (..., D), D even, under keys (..., F) in traces (..., F): circular correlation, the inverse if unitary."""
    values: Tensor = torch.fft.irfft(keys.conj() * traces)
    return values


class HolographicMemory(nn.Module):
    """Memories of a batch; holds no state between calls.

    Args:
        config: Buckets and the rule of writing.
        dimension: D, even.
        seed: Of the buckets' directions.
    """

    directions: Tensor

    def __init__(self, config: HolographicConfig, dimension: int, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.strength_factor = 1.0
        """Multiplies the strength of writes; a schedule may ramp it."""
        generator = torch.Generator().manual_seed(seed)
        directions = torch.randn(config.bucket_count, dimension, generator=generator)
        self.register_buffer("directions", normalize(directions, dim=-1))

    def scores(self, keys: Tensor) -> Tensor:
        """Cosines (..., buckets) of keys, given as spectra (..., F), with the buckets' directions."""
        return normalize(torch.fft.irfft(keys), dim=-1) @ self.directions.T

    def bucket(self, keys: Tensor) -> Tensor:
        """Each key's own bucket, (...)."""
        return self.scores(keys).argmax(-1)

    def strength(self, gates: Tensor) -> Tensor:
        """Norm of what is written with these gates."""
        return (gates * self.config.write_strength * self.strength_factor).clamp_max(self.config.write_norm_clip)

    def reach(self, positions: Tensor, buckets: Tensor, writes: Writes) -> Tensor:
        """How much of each write is left where and when it is read: (B, Q, W), from 0 to 1.

        Args:
            positions: Of reads, (B, Q).
            buckets: That each read sums, (B, Q, k).
            writes: All writes of the sequences.
        """
        earlier = writes.positions[:, None, :] < positions[:, :, None]  # (B, Q, W)
        shared = (buckets[..., None] == writes.buckets[:, None, None, :]).any(2)
        if self.config.write_decay == 1:
            return (earlier & shared).to(writes.gates.dtype)
        same = writes.buckets[:, :, None] == writes.buckets[:, None, :]
        load = same * writes.gates[:, :, None]  # (B, W written, W its bucket's)
        order = torch.arange(writes.gates.shape[1], device=same.device)
        before = (load * (order[:, None] <= order)).sum(1)  # (B, W): gates up to each write itself, in its bucket
        later = earlier.to(load.dtype) @ load - before[:, None]  # (B, Q, W)
        return torch.where(earlier & shared, self.config.write_decay ** later.clamp_min(0), 0.0)

    def stored(self, writes: Writes, prototypes: Tensor) -> Tensor:
        """What each write adds to its bucket, as spectra (B, W, F).

        Args:
            writes: All writes.
            prototypes: Of values, norm 1, (V, D); the delta rule cleans up by them.
        """
        if self.config.rule == "plain":
            return bind(writes.keys, writes.values * self.strength(writes.gates)[..., None])
        reach = self.reach(writes.positions, writes.buckets[..., None], writes)
        strengths, added = self.strength(writes.gates), list[Tensor]()
        for number in range(writes.gates.shape[1]):  # over writes, not over time: each depends on those before it
            value = writes.values[:, number] * strengths[:, number, None]
            if added:
                old = sum_of(reach[:, number, None, :number], torch.stack(added, 1))[:, 0]
                old = old * self.config.write_decay ** writes.gates[:, number, None]
                value = value - writes.gates[:, number, None] * known(unbind(writes.keys[:, number], old), prototypes)
            added.append(bind(writes.keys[:, number], value))
        return torch.stack(added, 1)

    def read(self, positions: Tensor, keys: Tensor, writes: Writes, prototypes: Tensor) -> tuple[Tensor, Tensor]:
        """What keys (B, Q, F) find at positions (B, Q): raw reads (B, Q, D), not normalised, and buckets (B, Q, k)."""
        buckets = self.scores(keys).topk(self.config.k_top, dim=-1).indices
        traces = sum_of(self.reach(positions, buckets, writes), self.stored(writes, prototypes))
        return unbind(keys, traces), buckets


def sum_of(weights: Tensor, spectra: Tensor) -> Tensor:
    """Weighted sums (B, Q, F) of spectra (B, W, F) by real weights (B, Q, W)."""
    parts = torch.view_as_real(spectra)
    return torch.view_as_complex((weights @ parts.flatten(2)).view(*weights.shape[:2], *parts.shape[2:]))


def known(reads: Tensor, prototypes: Tensor) -> Tensor:
    """The part of raw reads (B, D) along their nearest prototype (V, D).

    A full ``v − read(k)`` would erase the whole bucket, since a unitary key undoes any trace; what is stored under this
    key is only what clean-up recognises.
    """
    similarity, nearest = (reads @ prototypes.T).max(-1)
    return similarity.clamp_min(0)[:, None] * prototypes[nearest]


def collisions(writes: Writes, written: Tensor) -> Tensor:
    """Share of a sequence's writes whose bucket it had written before, (B,); sequences without writes have 0.

    Args:
        writes: All writes.
        written: Which of them count, (B, W).
    """
    same = writes.buckets[:, :, None] == writes.buckets[:, None, :]
    order = torch.arange(written.shape[1], device=written.device)
    used = (same & written[:, None, :] & (order[:, None] > order)).any(2) & written
    return used.sum(1) / written.sum(1).clamp_min(1)
