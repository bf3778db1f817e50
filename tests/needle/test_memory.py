"""The holographic memory: torch-hd's binding, the capacity of unitary keys, decay, buckets, overwrites."""

from __future__ import annotations

import pytest
import torch
import torchhd
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.config.emma import HolographicConfig
from pipeline.needle.heads import unitary
from pipeline.needle.memory import HolographicMemory, Writes, bind, collisions, unbind

ONE_TRACE = HolographicConfig(bucket_count=1, k_top=1, write_decay=1.0)


def vectors(*shape: int, seed: int = 0) -> Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def written(memory: HolographicMemory, keys: Tensor, values: Tensor, gates: Tensor | None = None) -> Writes:
    positions = torch.arange(values.shape[1]).expand(values.shape[:2])
    return Writes(
        positions, keys, values, torch.ones(values.shape[:2]) if gates is None else gates, memory.bucket(keys)
    )


def read(memory: HolographicMemory, writes: Writes, keys: Tensor, prototypes: Tensor, at: int = 999) -> Tensor:
    return normalize(memory.read(torch.full(keys.shape[:2], at), keys, writes, prototypes)[0], dim=-1)


@pytest.mark.parametrize("unit", [True, False])
def test_binding_and_unbinding_are_those_of_torch_hd(unit: bool) -> None:
    key, value = vectors(5, 64, seed=1), vectors(5, 64, seed=2)
    if unit:
        key = torch.fft.irfft(unitary(key))
    ours, theirs = torch.fft.rfft(key), torchhd.HRRTensor(key)
    bound = theirs.bind(torchhd.HRRTensor(value))
    torch.testing.assert_close(torch.fft.irfft(bind(ours, value)), bound.as_subclass(Tensor), atol=1e-6, rtol=1e-5)
    unbound = bound.bind(theirs.inverse()).as_subclass(Tensor)
    torch.testing.assert_close(unbind(ours, bind(ours, value)), unbound, atol=1e-5, rtol=1e-4)
    if unit:
        torch.testing.assert_close(unbind(ours, bind(ours, value)), value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("dimension", "pairs", "expected"),
    [(128, 4, 1.0), (128, 8, 0.93), (128, 16, 0.66), (256, 16, 0.93), (512, 32, 0.93)],
)
def test_a_trace_holds_as_many_pairs_as_theory_says(dimension: int, pairs: int, expected: float) -> None:
    prototypes = vectors(64, dimension, seed=3)
    labels = torch.randint(64, (800, pairs), generator=torch.Generator().manual_seed(4))
    keys = unitary(vectors(800, pairs, dimension, seed=5))
    memory = HolographicMemory(ONE_TRACE, dimension)
    writes = written(memory, keys, prototypes[labels])
    found = read(memory, writes, keys[:, :1], prototypes)[:, 0]
    accuracy = ((found @ prototypes.T).argmax(-1) == labels[:, 0]).float().mean()
    assert float(accuracy) == pytest.approx(expected, abs=0.04)
    cosine = (found * prototypes[labels[:, 0]]).sum(-1).mean()
    assert float(cosine) == pytest.approx(pairs**-0.5, abs=0.03)


def test_what_comes_later_or_stands_in_another_bucket_is_not_read() -> None:
    memory = HolographicMemory(HolographicConfig(bucket_count=8, k_top=1, write_decay=1.0), 64)
    keys, values = unitary(vectors(1, 6, 64)), vectors(1, 6, 64, seed=1)
    writes = written(memory, keys, values)
    assert not read(memory, writes, keys[:, 2:3], values[0], at=2).any()
    reach = memory.reach(torch.tensor([[5]]), writes.buckets[:, 2:3, None], writes)[0, 0]
    assert reach.tolist() == [float(n < 5 and writes.buckets[0, n] == writes.buckets[0, 2]) for n in range(6)]
    assert len(set(writes.buckets[0].tolist())) > 1


def test_decay_counts_writes_to_the_bucket_and_not_positions() -> None:
    memory = HolographicMemory(HolographicConfig(bucket_count=1, k_top=1, write_decay=0.5), 64)
    keys, values = unitary(vectors(1, 3, 64)), vectors(1, 3, 64, seed=1)
    writes = Writes(torch.tensor([[3, 50, 90]]), keys, values, torch.tensor([[1.0, 0.0, 1.0]]), memory.bucket(keys))
    reach = memory.reach(torch.tensor([[100, 60]]), torch.zeros(1, 2, 1, dtype=torch.long), writes)
    torch.testing.assert_close(reach[0], torch.tensor([[0.5, 0.5, 1.0], [1.0, 1.0, 0.0]]))


def test_the_delta_rule_replaces_what_the_plain_rule_adds_up() -> None:
    prototypes, keys = vectors(64, 512, seed=3), unitary(vectors(40, 4, 512, seed=5))
    keys = torch.cat([keys, keys[:, :1]], 1)  # the first key is written again, last
    labels = torch.randint(64, (40, 5), generator=torch.Generator().manual_seed(4))
    labels[:, 4] = (labels[:, 0] + 1) % 64
    found = dict[str, Tensor]()
    for rule in ("plain", "delta"):
        memory = HolographicMemory(ONE_TRACE.model_copy(update={"rule": rule}), 512)
        writes = written(memory, keys, prototypes[labels])
        found[rule] = (read(memory, writes, keys, prototypes) @ prototypes.T).argmax(-1)
    assert (found["delta"][:, 4] == labels[:, 4]).float().mean() == 1
    assert (found["plain"][:, 4] == labels[:, 4]).float().mean() < 0.8
    assert (found["delta"][:, 1:4] == labels[:, 1:4]).float().mean() == 1  # others stay


def test_collisions_are_writes_to_buckets_used_before() -> None:
    memory = HolographicMemory(ONE_TRACE, 64)
    writes = written(memory, unitary(vectors(2, 4, 64)), vectors(2, 4, 64))
    writes = Writes(
        writes.positions, writes.keys, writes.values, writes.gates, torch.tensor([[1, 1, 2, 1], [0, 1, 2, 3]])
    )
    counted = torch.tensor([[True, True, True, True], [True, True, True, False]])
    assert collisions(writes, counted).tolist() == [0.5, 0.0]
    assert collisions(writes, torch.zeros_like(counted)).tolist() == [0.0, 0.0]


def test_gradients_reach_keys_values_and_gates() -> None:
    memory = HolographicMemory(HolographicConfig(bucket_count=1, k_top=1, write_norm_clip=9.0), 64)
    vector, value = vectors(2, 3, 64).requires_grad_(), vectors(2, 3, 64, seed=1).requires_grad_()
    gates = torch.full((2, 3), 0.7, requires_grad=True)
    writes = written(memory, unitary(vector), value, gates)
    read(memory, writes, unitary(vectors(2, 1, 64, seed=2)), vectors(4, 64)).sum().backward()
    assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in (vector, value, gates))
