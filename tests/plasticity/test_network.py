"""The liquid spiking network: spikes are binary, batches of any size agree, gradients reach every parameter."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline.config.liquid import LiquidModelConfig
from pipeline.plasticity.network import LiquidSpikingNetwork

SMALL = LiquidModelConfig(hidden_dim=12, spiking_units=7, liquid_units=5, num_layers=2, num_spike_steps=4)


@pytest.fixture
def network() -> LiquidSpikingNetwork:
    return LiquidSpikingNetwork(SMALL, outputs=3, seed=1)


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 784, generator=torch.Generator().manual_seed(seed))


def test_spikes_are_zeros_and_ones_on_both_sides_of_every_block(network: LiquidSpikingNetwork) -> None:
    _, spikes = network.with_spikes(images(6), (0, 1))
    assert [tuple(spikes[layer].before.shape) for layer in (0, 1)] == [(4, 6, 12)] * 2
    assert [tuple(spikes[layer].after.shape) for layer in (0, 1)] == [(4, 6, 7)] * 2
    for side in (spikes[0].before, spikes[0].after, spikes[1].before):
        assert set(side.unique().tolist()) == {0.0, 1.0}


def test_an_image_gets_the_same_logits_in_any_batch_and_at_any_time(network: LiquidSpikingNetwork) -> None:
    pictures = images(5)
    together = network(pictures)
    alone = torch.cat([network(picture[None]) for picture in pictures])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    assert torch.equal(network(pictures), together)


def test_every_parameter_has_a_gradient(network: LiquidSpikingNetwork) -> None:
    cross_entropy(network(images(16)), torch.arange(16) % 3).backward()  # type: ignore[no-untyped-call]
    silent = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []


def test_the_liquid_cell_has_a_state_that_time_changes(network: LiquidSpikingNetwork) -> None:
    cell = network.blocks[0].liquid
    assert cell is not None
    states, last = cell(torch.ones(4, 2, 7))
    assert states.shape == (4, 2, 5) and torch.equal(states[-1], last)
    assert not torch.allclose(states[0], states[-1])


def test_a_network_without_liquid_cells_learns_too() -> None:
    bare = LiquidSpikingNetwork(SMALL.model_copy(update={"liquid_units": 0}), outputs=3, seed=1)
    assert bare(images(2)).shape == (2, 3) and not any("liquid" in name for name, _ in bare.named_parameters())


def test_the_seed_decides_the_weights() -> None:
    one, two, other = (LiquidSpikingNetwork(SMALL, 3, seed) for seed in (1, 1, 2))
    assert torch.equal(one.sensor.weight, two.sensor.weight) and not torch.equal(one.sensor.weight, other.sensor.weight)
