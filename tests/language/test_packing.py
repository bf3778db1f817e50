"""Packed rows are attended to as if each stood alone after its prefix, forward and backward."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Qwen2Config, Qwen2ForCausalLM

from pipeline.language.decoder import run_layers
from pipeline.language.models import LanguageModel, is_llama_like
from pipeline.language.packed import packed_layers
from pipeline.language.packing import Block, Grid, Packing

CPU = torch.device("cpu")
BLOCKS = (
    Block((5,), ((),)),  # a shared prefix
    Block((3, 4, 6), ((2,), (1, 3), (5,)), prefix=0, start=5),
    Block((2, 9), ((0, 1), (8,))),  # rows on their own
)


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_a_grid_gives_back_what_it_took(lengths: list[int]) -> None:
    grid = Grid(lengths, CPU)
    tokens = torch.randn(sum(lengths), 2, 3, dtype=torch.float64, requires_grad=True)
    padded = grid.spread(tokens)
    assert padded.shape == (len(lengths), 2, max(lengths), 3)
    back = grid.collect(padded.transpose(1, 2))
    assert torch.equal(back, tokens.flatten(1))
    for row, (part, length) in enumerate(zip(tokens.split(lengths), lengths, strict=True)):
        assert torch.equal(padded[row, :, :length], part.transpose(0, 1))
    (padded**2).sum().backward()  # the padding repeats a token and must pass nothing back
    assert tokens.grad is not None and torch.equal(tokens.grad, 2 * tokens.detach())


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_collecting_passes_gradients_to_real_tokens_alone(lengths: list[int]) -> None:
    grid = Grid(lengths, CPU)
    padded = torch.randn(len(lengths), max(lengths), 2, 3, requires_grad=True)
    grid.collect(padded).sum().backward()
    real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    assert padded.grad is not None and torch.equal(padded.grad, real[:, :, None, None].expand_as(padded).float())


def one_by_one(lm: LanguageModel, hidden: torch.Tensor, packing: Packing, first: int) -> torch.Tensor:
    """(N, width) by the library's layers, every row alone behind its own copy of its prefix."""
    layers, parts, found = len(lm.model.model.layers), hidden.split(packing.sizes), []
    for block, part in zip(packing.blocks, parts, strict=True):
        before = parts[block.prefix] if block.prefix is not None else part[:0]
        for row in part.split(list(block.lengths)):
            whole = torch.cat([before, row])[None]
            positions = torch.arange(whole.shape[1])[None]
            found.append(run_layers(lm.model, whole, first, layers, positions=positions)[0, len(before) :])
    return torch.cat(found)


@pytest.mark.parametrize("first", [0, 3, 4])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("flat", [False, True])
def test_it_equals_the_library_row_by_row(tiny: LanguageModel, first: int, narrow: bool, flat: bool) -> None:
    packing = Packing(BLOCKS, CPU)
    width = tiny.model.config.hidden_size
    hidden = torch.randn(packing.tokens, width, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
    found = packed_layers(tiny.model, hidden, first, 4, packing.flat if flat else packing, narrow=narrow)
    expected = one_by_one(tiny, hidden, packing, first)
    if narrow:
        expected = expected[packing.asked]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(2))
    gradients = [torch.autograd.grad((x * weights).sum(), hidden)[0] for x in (found, expected)]
    torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-3)


def test_query_biases_of_qwen2_are_kept() -> None:
    torch.manual_seed(5)
    config = Qwen2Config(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config).eval()
    for layer in model.model.layers:
        torch.nn.init.normal_(layer.self_attn.q_proj.bias)
    ids = torch.randint(0, 50, (1, 9))
    packing = Packing([Block((9,), (tuple(range(9)),))], CPU)
    with torch.no_grad():
        found = packed_layers(model, model.model.embed_tokens(ids[0]), 0, 2, packing, narrow=True)
        torch.testing.assert_close(model.lm_head(model.model.norm(found)), model(ids).logits[0], atol=1e-4, rtol=1e-4)
    assert is_llama_like(model)
    layer = model.model.layers[0]
    layer.self_attn.q_norm = torch.nn.Identity()  # as in Qwen3
    assert not is_llama_like(model)


def test_own_tokens_are_those_of_rows() -> None:
    packing = Packing(BLOCKS, CPU)
    assert packing.tokens == 29 and packing.own.tolist() == list(range(5, 29))
    assert packing.asked.tolist() == [7, 9, 11, 17, 18, 19, 28]
    assert packing.positions.tolist() == [[*range(5), 5, 6, 7, 5, 6, 7, 8, *range(5, 11), 0, 1, *range(9)]]
