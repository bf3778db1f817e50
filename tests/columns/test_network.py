"""The column network: its gradients by hand are those of the plain formula."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

from pipeline.columns.lif import firing_rate
from pipeline.columns.network import ColumnNetwork, consecutive
from pipeline.config.columns import ColumnModelConfig

COLUMNS, BATCH = 4, 12


def network(prompt_dim: int = 3, outputs: int = 1, neuron: Literal["lif", "relu"] = "lif") -> ColumnNetwork:
    config = ColumnModelConfig(hidden_per_column=5, neuron=neuron)
    own = ColumnNetwork(COLUMNS, prompt_dim, config, seed=1, outputs=outputs)
    torch.nn.init.normal_(own.bias, generator=torch.Generator().manual_seed(2))
    return own


def asked(own: ColumnNetwork, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Images, a prompt and a mask, all of which want gradients."""
    generator = torch.Generator().manual_seed(3)
    shapes = ((BATCH, 784), (own.prompted.shape[-1],), (len(chosen),))
    images, prompt, mask = (torch.rand(shape, generator=generator).requires_grad_() for shape in shapes)
    return images, prompt, mask


def plainly(own: ColumnNetwork, images: Tensor, prompt: Tensor, mask: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The formula at the head of the module, column by column; logits and rates."""
    logits, found = torch.zeros(len(images), own.bias.shape[1]), []
    for weight, column in zip(mask, chosen.tolist(), strict=True):
        drive = images @ own.encoder[column].T + own.prompted[column] @ prompt + own.current[column]
        model = own.config
        lif = firing_rate(drive, model.time_steps, model.beta, model.surrogate_alpha)
        rates = lif if model.neuron == "lif" else torch.relu(drive)
        logits = logits + weight * (rates @ own.readout[column] + own.bias[column])
        found.append(rates)
    return logits, torch.stack(found, 1)


@pytest.mark.parametrize("chosen", [[0, 1, 2, 3], [1, 2], [3], [0, 2, 3], [2, 0]])
@pytest.mark.parametrize(("prompt_dim", "outputs", "neuron"), [(3, 1, "lif"), (0, 4, "lif"), (3, 2, "relu")])
def test_logits_and_all_gradients_are_those_of_the_formula(
    chosen: list[int], prompt_dim: int, outputs: int, neuron: Literal["lif", "relu"]
) -> None:
    own, columns = network(prompt_dim, outputs, neuron), torch.tensor(chosen)
    inputs = asked(own, columns)
    wanted = [*inputs, *own.parameters()]
    weights = torch.randn(BATCH, outputs, generator=torch.Generator().manual_seed(4))

    def gradients(logits: Tensor, rates: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad((logits * weights).sum() + rates.square().sum(), wanted)

    ours, theirs = own.answer_with_rates(*inputs, columns), plainly(own, *inputs, columns)
    for found, formula in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, formula)
    by_hand, expected = gradients(*ours), gradients(*theirs)
    assert all(float(gradient.abs().sum()) > 0 for gradient in expected if gradient.numel())
    for one, other in zip(by_hand, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_columns_that_were_not_chosen_have_no_gradient() -> None:
    own, columns = network(), torch.tensor([1, 3])
    own(*asked(own, columns), columns).sum().backward()
    for parameter in own.parameters():
        assert parameter.grad is not None
        assert [bool(parameter.grad[column].any()) for column in range(COLUMNS)] == [False, True, False, True]


@pytest.mark.parametrize("neuron", ["lif", "relu"])
def test_answers_to_rates_are_the_logits(neuron: Literal["lif", "relu"]) -> None:
    own, columns = network(neuron=neuron), torch.tensor([0, 1, 3])
    images, prompt, mask = asked(own, columns)
    logits = own.answer(own.rates(images, prompt, columns), mask, columns)
    torch.testing.assert_close(own(images, prompt, mask, columns), logits)
    with torch.no_grad():
        torch.testing.assert_close(own(images, prompt, mask, columns), logits)


def test_a_frozen_network_answers_without_a_graph() -> None:
    own, columns = network().requires_grad_(False), torch.arange(COLUMNS)
    logits = own(*(given.detach() for given in asked(own, columns)), columns)
    assert not logits.requires_grad


def test_only_indices_in_a_row_become_a_slice() -> None:
    assert consecutive(torch.tensor([2, 3, 4])) == slice(2, 5) and consecutive(torch.tensor([1])) == slice(1, 2)
    for apart in ([0, 2], [1, 0]):
        assert isinstance(consecutive(torch.tensor(apart)), Tensor)
