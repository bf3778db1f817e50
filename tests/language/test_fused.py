"""Fused adapter products are PEFT's, forward and backward, and leave no trace."""

from __future__ import annotations

import pytest
import torch

from pipeline.config.language import LoraConfig
from pipeline.language.adapter import attach, trainable
from pipeline.language.fused import fused_lora
from pipeline.language.models import LanguageModel
from tests.language.test_adapter import stir


def loss_and_gradients(lm: LanguageModel, fused: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    ids = torch.randint(3, 400, (3, 7), generator=torch.Generator().manual_seed(1))
    lm.model.zero_grad()
    if fused:
        with fused_lora(lm.model):
            logits = lm.model(ids).logits.float()
    else:
        logits = lm.model(ids).logits.float()
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids.roll(1).flatten()).backward()
    gradients = {name: p.grad.clone() for name, p in trainable(lm.model).items() if p.grad is not None}
    return logits.detach(), gradients


@pytest.mark.parametrize("rank_stabilised", [False, True])
def test_fused_products_are_those_of_peft(own_tiny: LanguageModel, rank_stabilised: bool) -> None:
    attach(own_tiny, LoraConfig(first_layer=1, rank=4, alpha=6, rank_stabilised=rank_stabilised), seed=1)
    stir(own_tiny)
    plain, expected = loss_and_gradients(own_tiny, fused=False)
    fused, found = loss_and_gradients(own_tiny, fused=True)
    torch.testing.assert_close(fused, plain, atol=1e-4, rtol=1e-4)
    assert found.keys() == expected.keys() == trainable(own_tiny.model).keys()
    for name, gradient in expected.items():
        scale = gradient.abs().max()
        torch.testing.assert_close(found[name] / scale, gradient / scale, atol=1e-4, rtol=1e-3)


def test_the_layers_are_themselves_again_afterwards(own_tiny: LanguageModel) -> None:
    attach(own_tiny, LoraConfig(first_layer=1, rank=4), seed=1)
    layer = own_tiny.model.model.layers[2].mlp.up_proj
    with pytest.raises(ValueError, match="broken"), fused_lora(own_tiny.model):
        assert "forward" in vars(layer)
        raise ValueError("broken")
    assert "forward" not in vars(layer)


def test_a_bias_is_added(own_tiny: LanguageModel) -> None:
    linear = own_tiny.model.model.layers[2].mlp.up_proj
    linear.bias = torch.nn.Parameter(torch.arange(64.0), requires_grad=False)
    attach(own_tiny, LoraConfig(first_layer=1, rank=4), seed=1)
    plain, _ = loss_and_gradients(own_tiny, fused=False)
    torch.testing.assert_close(loss_and_gradients(own_tiny, fused=True)[0], plain, atol=1e-4, rtol=1e-4)
