"""A column moves by its gate: fully as Adam moves, in part, or not at all."""

from __future__ import annotations

from copy import deepcopy

import torch

from pipeline.columns.gated_adam import BETAS, GatedAdam, cosine
from pipeline.columns.network import ColumnNetwork, parameters_by_column
from pipeline.config.columns import ColumnModelConfig

ALL = torch.arange(3)


def network() -> ColumnNetwork:
    return ColumnNetwork(3, 2, ColumnModelConfig(hidden_per_column=4), seed=1)


def gradients(own: ColumnNetwork, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in own.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_an_open_gate_is_adam() -> None:
    ours, theirs = network(), network()
    optimiser, adam = GatedAdam(ours), torch.optim.Adam(theirs.parameters(), lr=0.01, betas=BETAS, eps=1e-8)
    for step in range(5):
        gradients(ours, step)
        gradients(theirs, step)
        optimiser.step(ALL, torch.ones(3), 0.01)
        adam.step()
    for name, parameter in parameters_by_column(ours).items():
        torch.testing.assert_close(parameter, dict(theirs.named_parameters())[name], atol=1e-6, rtol=1e-5)
    assert all(parameter.grad is None for parameter in ours.parameters())


def test_a_closed_gate_or_an_unchosen_column_does_not_move_by_a_bit() -> None:
    own = network()
    before = {name: parameter.detach().clone() for name, parameter in parameters_by_column(own).items()}
    optimiser = GatedAdam(own)
    gradients(own, 0)
    optimiser.step(torch.tensor([0, 1]), torch.tensor([0.5, 0.0]), 0.01)
    for name, parameter in parameters_by_column(own).items():
        assert torch.equal(parameter[1:], before[name][1:]) and not torch.equal(parameter[0], before[name][0])


def test_columns_apart_move_as_each_would_alone() -> None:
    together, alone = network(), network()
    optimiser, other = GatedAdam(together), GatedAdam(alone)
    for step in range(3):
        gradients(together, step)
        optimiser.step(torch.tensor([2, 0]), torch.tensor([0.3, 1.0]), 0.01)
        for column, gate in ((0, 1.0), (2, 0.3)):
            gradients(alone, step)
            other.step(torch.tensor([column]), torch.tensor([gate]), 0.01)
    assert not torch.equal(together.encoder[2], network().encoder[2])
    for ours, theirs in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_parameter_without_a_gradient_stays() -> None:
    own = network()
    gradients(own, 0)
    own.bias.grad = None
    before = deepcopy(own.state_dict())
    GatedAdam(own).step(ALL, torch.ones(3), 0.01)
    moved = {name for name, value in own.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"encoder", "prompted", "current", "readout"}


def test_weights_may_be_loaded_while_an_optimiser_is_at_work() -> None:
    own, other = network(), ColumnNetwork(3, 2, ColumnModelConfig(hidden_per_column=4), seed=2)
    optimiser, copied = GatedAdam(own), deepcopy(own)
    own.load_state_dict(other.state_dict())
    for one in (own, other):
        gradients(one, 0)
    optimiser.step(ALL, torch.ones(3), 0.01)
    GatedAdam(other).step(ALL, torch.ones(3), 0.01)
    for ours, theirs, before in zip(own.parameters(), other.parameters(), copied.parameters(), strict=True):
        assert torch.equal(ours, theirs) and not torch.equal(ours, before)
    assert torch.equal(copied.encoder, network().encoder)


def test_a_gate_scales_the_step_and_not_the_gradient() -> None:
    whole, half = network(), network()
    start = whole.encoder.detach().clone()
    for own, gate in ((whole, 1.0), (half, 0.5)):
        gradients(own, 0)
        GatedAdam(own).step(ALL, torch.full((3,), gate), 0.01)
    torch.testing.assert_close(half.encoder - start, (whole.encoder - start) / 2)


def test_the_cosine_falls_from_the_peak_to_its_end() -> None:
    rates = [cosine(step, 10, 2.0, 0.1) for step in range(11)]
    assert rates[0] == 2.0 and abs(rates[-1] - 0.2) < 1e-12 and rates == sorted(rates, reverse=True)
