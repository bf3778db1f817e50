"""A full decomposition, identity at one, and a cache that cannot serve another checkpoint's factors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pipeline.config.sleepwake import SvfConfig
from pipeline.sleepwake.svf import (
    SingularValueLinear,
    SvdCache,
    checkpoint_digest,
    decompose,
    full_products,
    identity_error,
)
from tests.sleepwake.tiny import model

SHAPES = [(8, 8), (5, 12), (12, 5)]


def layer(shape: tuple[int, int], bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(shape[1], shape[0], bias=bias)


def adapted(shape: tuple[int, int], keep_sum: bool, bias: bool = True) -> tuple[nn.Linear, SingularValueLinear]:
    base = layer(shape, bias)
    return base, SingularValueLinear(base, decompose(base.weight), SvfConfig(keep_sum=keep_sum))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("keep_sum", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_at_one_the_layer_is_the_base(shape: tuple[int, int], keep_sum: bool, bias: bool) -> None:
    base, changed = adapted(shape, keep_sum, bias)
    inputs = torch.randn(4, shape[1], generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(changed(inputs), base(inputs), atol=1e-5, rtol=1e-5)
    assert identity_error(base.weight, decompose(base.weight), SvfConfig(keep_sum=keep_sum)) < 1e-5


@pytest.mark.parametrize("shape", SHAPES)
def test_scales_multiply_the_singular_values(shape: tuple[int, int]) -> None:
    base, changed = adapted(shape, keep_sum=False)
    scales = torch.linspace(2.0, 1.0, min(shape))
    changed.scales.data.copy_(scales)
    expected = torch.linalg.svdvals(base.weight.detach()) * scales
    torch.testing.assert_close(torch.linalg.svdvals(changed.weight().detach()), expected, atol=1e-5, rtol=1e-4)


def test_the_sum_of_singular_values_is_kept_if_asked() -> None:
    for keep_sum in (True, False):
        base, changed = adapted((5, 12), keep_sum)
        changed.scales.data.copy_(torch.tensor([3.0, 1.0, 1.0, 0.5, 2.0]))
        sums = [float(torch.linalg.svdvals(weight.detach()).sum()) for weight in (base.weight, changed.weight())]
        assert (sums[1] == pytest.approx(sums[0], rel=1e-5)) is keep_sum


def test_what_is_left_out_would_be_found() -> None:
    weight = layer((8, 8)).weight
    parts = decompose(weight)
    cut = type(parts)(parts.left[:, :7], parts.values[:7], parts.right[:7])
    assert identity_error(weight, cut, SvfConfig(keep_sum=False)) > 1e-3


def test_scales_alone_learn() -> None:
    _, changed = adapted((5, 12), keep_sum=True)
    assert [name for name, _ in changed.named_parameters()] == ["scales"]
    changed(torch.ones(2, 12)).square().sum().backward()
    assert changed.scales.grad is not None and changed.scales.grad.abs().sum() > 0


def test_other_weights_are_another_checkpoint() -> None:
    state = {name: value.detach() for name, value in model().named_parameters()}
    digest = checkpoint_digest(state)
    assert checkpoint_digest(dict(reversed(state.items()))) == digest
    # a permutation keeps shape and sum, by which the document's cache was keyed
    name, value = next((name, value) for name, value in state.items() if value.ndim == 2)
    others: list[dict[str, Tensor]] = [
        state | {name: value.flip(0)},
        {("other" if key == name else key): kept for key, kept in state.items()},
        state | {name: value.view(-1)},
    ]
    assert len({digest, *(checkpoint_digest(other) for other in others)}) == 4


def test_the_cache_computes_once_a_checkpoint_and_name() -> None:
    cache, weight = SvdCache(), layer((5, 12)).weight
    first = cache.decompose("a", "up", weight)
    assert cache.decompose("a", "up", weight) is first
    other = cache.decompose("b", "up", weight.detach().flip(0))
    assert not torch.equal(other.left, first.left)
    cache.decompose("a", "down", weight)
    assert (cache.hits, cache.misses, len(cache)) == (1, 3, 3)
    assert cache.seconds > 0
    cache.keep_only("b")
    assert len(cache) == 1 and cache.decompose("b", "up", weight) is other


def test_full_products_last_as_long_as_they_are_asked_for() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(ValueError, match="stop"), full_products():
            assert torch.get_float32_matmul_precision() == "highest"
            raise ValueError("stop")
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
