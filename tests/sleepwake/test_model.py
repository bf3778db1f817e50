"""The model with windows and a memory: causal, blind beyond its window without the memory, sequences apart."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from pipeline.sleepwake.model import window_attention
from tests.sleepwake.tiny import sleepwake_model


def tokens(rows: int = 2, length: int = 40, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (rows, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("length", [1, 5, 6, 7, 12, 19])
@pytest.mark.parametrize("fixed", [0, 3])
def test_window_attention_is_plain_attention_under_a_band(length: int, fixed: int) -> None:
    generator = torch.Generator().manual_seed(length)
    queries, keys, values = torch.randn(3, 2, 2, length, 8, generator=generator).unbind()
    persistent = torch.randn(2, 2, fixed, 8, generator=generator)
    places = torch.arange(length)
    apart = places[:, None] - places[None, :]
    seen = torch.cat([torch.ones(length, fixed, dtype=torch.bool), (apart >= 0) & (apart < 6)], 1)
    both = [
        torch.cat([lasting.expand(2, -1, -1, -1), part], 2)
        for lasting, part in zip(persistent, (keys, values), strict=True)
    ]
    expected = scaled_dot_product_attention(queries, both[0], both[1], attn_mask=seen)
    torch.testing.assert_close(window_attention(queries, keys, values, persistent, 6), expected)


@pytest.mark.parametrize("memory", [True, False])
def test_a_byte_changes_nothing_before_it(memory: bool) -> None:
    model, given = sleepwake_model(), tokens()
    other = given.clone()
    other[:, 25] = (other[:, 25] + 1) % 256
    before, after = model(given, memory), model(other, memory)
    assert torch.equal(before[:, :25], after[:, :25]) and not torch.equal(before[:, 25], after[:, 25])


def test_only_the_memory_sees_farther_than_the_windows_of_all_blocks() -> None:
    model, given = sleepwake_model(), tokens()
    other = given.clone()
    other[:, 3] = (other[:, 3] + 1) % 256
    beyond = 3 + model.config.layers * (model.config.window - 1) + 1
    alone, told = (model(other, memory) - model(given, memory) for memory in (False, True))
    assert not alone[:, beyond:].any() and alone[:, 3:beyond].any()
    assert told[:, beyond:].any()


def test_sequences_of_a_batch_stay_apart_and_nothing_is_kept() -> None:
    model, given = sleepwake_model(), tokens(3)
    other = given.clone()
    other[1] = tokens(1, seed=5)
    first = model(given)
    torch.testing.assert_close(model(other)[[0, 2]], first[[0, 2]])
    assert torch.equal(model(given), first)


def test_a_fresh_memory_reads_what_followed_the_same_context() -> None:
    """The induction step that training starts from: the same eight bytes lead to the same value."""
    model = sleepwake_model(
        width=64, window=8, titans=sleepwake_model().config.titans.model_copy(update={"dimension": 64})
    )
    filler = torch.randint(0, 64, (1, 12), generator=torch.Generator().manual_seed(1))
    context = torch.arange(100, 108)[None]
    given = torch.cat([context, torch.tensor([[200]]), filler, context], 1)
    embedded = model.embedding(given)
    added, _ = model.memory(embedded, embedded)
    alike = (added[0, -1] @ model.embedding.weight.T).argsort(descending=True)
    assert alike[0] == 200


def test_a_memory_that_is_handed_on_answers_in_the_next_session() -> None:
    model = sleepwake_model()
    _, told = model.read(tokens(2, seed=1))
    assert told is not None
    asked = tokens(2, 10, seed=2)
    with_state, without = model.read(asked, state=told.state)[0], model.read(asked)[0]
    assert not torch.allclose(with_state, without)


def test_what_the_memory_holds_needs_no_later_blocks() -> None:
    model, tokens = sleepwake_model(memory_block=1, layers=3).eval(), torch.arange(40)[None] % 7
    state = None
    for part in tokens.split(20, 1):
        recalled = model.read(part, state=state)[1]
        assert recalled is not None
        torch.testing.assert_close(model.carried(part, state).weights, recalled.state.weights)
        state = recalled.state


def test_what_is_written_first_has_no_context_and_no_surprise() -> None:
    _, told = sleepwake_model().read(tokens())
    assert told is not None
    assert not told.surprise[:, 0].any() and (told.surprise[:, 1:] > 0).all()


def test_every_parameter_learns_with_the_memory_on() -> None:
    model = sleepwake_model()
    model(tokens()).square().mean().backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []
