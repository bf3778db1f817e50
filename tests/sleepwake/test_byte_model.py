"""The byte model sees only what stands before, and its positions are relative."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from pipeline.config.sleepwake import ByteModelConfig
from pipeline.sleepwake.byte_model import byte_losses, entropies, rotate
from tests.sleepwake.tiny import SIZES, model


def values(rows: int = 2, length: int = 20, seed: int = 0) -> torch.Tensor:
    return torch.randint(256, (rows, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("position", [0, 7, 19])
def test_a_byte_changes_the_predictions_behind_it_alone(position: int) -> None:
    before, net = values(), model()
    after = before.clone()
    after[0, position] = (after[0, position] + 1) % 256
    changed = (net.of_bytes(before) - net.of_bytes(after)).abs().amax(-1)
    assert not changed[0, : position + 1].any()
    assert (changed[0, position + 1 :] > 0).all()
    assert not changed[1].any()


def test_rotary_products_depend_on_the_distance_alone() -> None:
    one = torch.randn(2, 1, 1, 1, 8, generator=torch.Generator().manual_seed(0))
    query, key = (rotate(part.expand(1, 1, 12, 8)) for part in one)
    products = (query @ key.transpose(-1, -2))[0, 0]
    for distance in range(-5, 6):
        along = products.diagonal(distance)
        torch.testing.assert_close(along, along[:1].expand_as(along), atol=1e-5, rtol=1e-4)
    assert products.diagonal(3)[0] != pytest.approx(float(products.diagonal(0)[0]), abs=1e-3)


def test_an_untrained_model_knows_nothing_and_entropy_is_at_most_ln_256() -> None:
    net = model()
    assert float(byte_losses(net, values()).detach().mean()) == pytest.approx(math.log(258), abs=0.1)
    found = entropies(net, values()).detach()
    assert float(found.max()) <= math.log(256) + 1e-4
    assert float(found.min()) > 5.4


def test_losses_are_those_of_each_byte() -> None:
    net, given = model(), values()
    expected = -net.of_bytes(given).log_softmax(-1).gather(-1, given[..., None])[..., 0]
    torch.testing.assert_close(byte_losses(net, given), expected)


def test_the_seed_decides_the_weights_and_leaves_the_global_one_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = (model(seed).embedding.weight for seed in (1, 1, 2))
    assert torch.rand(1) == expected
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="context=24"):
        model()(values(length=25))
    with pytest.raises(ValidationError, match="multiple of 2 heads=8"):
        ByteModelConfig(width=20, heads=4)
    assert SIZES.width % (2 * SIZES.heads) == 0
