"""Importance of weights: the Fisher information of a known model, the path integral of a known loss, the penalty."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pipeline.plasticity.importance import Consolidation, PathIntegral, fisher


def test_fisher_is_the_expected_squared_gradient_of_single_images() -> None:
    torch.manual_seed(0)
    network = nn.Linear(3, 2, bias=False)
    image = torch.tensor([[1.0, -2.0, 0.5]])
    found = fisher(network, image.expand(4000, -1), torch.Generator().manual_seed(0))["weight"]
    p = network(image).softmax(-1)[0]
    exact = (p * (1 - p))[:, None] * image.square()  # softmax regression: variance of the label times squared input
    torch.testing.assert_close(found, exact.detach(), rtol=0.1, atol=0.01)


def test_the_path_integral_of_a_quadratic_is_the_loss_that_was_lost() -> None:
    network = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(1.0)
    path, rate = PathIntegral(network), 1e-3
    for _ in range(2000):
        gradient = network.weight.detach().clone()  # of w^2 / 2
        with torch.no_grad():
            network.weight.sub_(rate * gradient)
        path.note({"weight": gradient})
    last = network.weight.item()
    lost, way = 0.5 - last**2 / 2, last - 1.0
    torch.testing.assert_close(path.importance()["weight"], torch.tensor([[lost / (way**2 + 1e-3)]]), rtol=2e-3, atol=0)


def test_the_penalty_and_its_gradient_agree_and_importance_adds_up() -> None:
    torch.manual_seed(0)
    network = nn.Linear(4, 3)
    consolidation = Consolidation(network, strength=3.0)
    assert consolidation.penalty().item() == 0
    ones = {name: torch.ones_like(value) for name, value in network.named_parameters()}
    consolidation.add(ones)
    consolidation.add(ones)
    with torch.no_grad():
        network.weight += 0.5
    cross_entropy(network(torch.zeros(2, 4)), torch.tensor([0, 1])).backward()  # type: ignore[no-untyped-call]
    assert network.weight.grad is not None
    before = network.weight.grad.clone()
    penalty = consolidation.penalty()
    torch.testing.assert_close(penalty, torch.tensor(3.0 / 2 * 2 * 12 * 0.25))
    consolidation.add_gradients()
    (wanted,) = torch.autograd.grad(penalty, network.weight)
    torch.testing.assert_close(network.weight.grad - before, wanted)


def test_what_is_restored_protects_alike() -> None:
    network = nn.Linear(2, 2)
    one, other = Consolidation(network, 1.0), Consolidation(network, 1.0)
    one.add({name: torch.rand_like(value) for name, value in network.named_parameters()})
    other.restore(one.state())
    with torch.no_grad():
        network.weight += 1
    assert other.penalty().item() == one.penalty().item() > 0
