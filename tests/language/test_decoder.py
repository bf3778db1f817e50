"""Slices of a decoder with a shared prefix compute what the whole model computes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.language.decoder import DecodingCache, PrefixCache, causal_mask, common_prefix, run_layers
from pipeline.language.models import LanguageModel

LAYERS = 4


def whole(lm: LanguageModel, ids: torch.Tensor) -> torch.Tensor:
    """(B, S, width) output of the last layer, before the final norm."""
    found: list[torch.Tensor] = []
    handle = lm.model.model.norm.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    lm.model(ids)
    handle.remove()
    return found[0]


def sequence(length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(3, 400, (1, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("split", [0, 1, 3, LAYERS])
def test_layers_in_two_slices_are_the_model(tiny: LanguageModel, split: int) -> None:
    ids = sequence(11)
    hidden = tiny.model.model.embed_tokens(ids)
    positions = torch.arange(11)[None]
    for first, last in ((0, split), (split, LAYERS)):
        hidden = run_layers(tiny.model, hidden, first, last, positions=positions)
    torch.testing.assert_close(hidden, whole(tiny, ids), atol=1e-5, rtol=1e-5)


def prefix_of(lm: LanguageModel, ids: torch.Tensor) -> PrefixCache:
    cache = PrefixCache()
    positions = torch.arange(ids.shape[1])[None]
    run_layers(lm.model, lm.model.model.embed_tokens(ids), 0, LAYERS, positions=positions, cache=cache)
    cache.recording = False
    return cache


@pytest.mark.parametrize("shared", [1, 5, 10])
def test_rows_after_a_prefix_see_it(tiny: LanguageModel, shared: int) -> None:
    rows = torch.cat([sequence(shared).expand(3, -1), torch.cat([sequence(4, seed) for seed in (1, 2, 3)])], dim=1)
    cache = prefix_of(tiny, rows[:1, :shared])
    assert cache.length == shared
    hidden = run_layers(
        tiny.model,
        tiny.model.model.embed_tokens(rows[:, shared:]),
        0,
        LAYERS,
        positions=torch.arange(shared, shared + 4)[None],
        mask=causal_mask(shared, 4, tiny.device),
        cache=cache,
    )
    torch.testing.assert_close(hidden, whole(tiny, rows)[:, shared:], atol=1e-5, rtol=1e-5)


def test_a_decoding_cache_grows_by_columns_and_shrinks_by_rows(tiny: LanguageModel) -> None:
    rows = torch.cat([sequence(3).expand(3, -1), torch.cat([sequence(6, seed) for seed in (1, 2, 3)])], dim=1)
    cache, kept = DecodingCache(prefix_of(tiny, rows[:1, :3]), rows=3, capacity=9), torch.arange(3)
    expected = whole(tiny, rows)
    for step in range(3, 9):
        if step == 6:
            kept = torch.tensor([0, 2])
            cache.keep(kept)
        embedded = tiny.model.model.embed_tokens(rows[kept, step : step + 1])
        mask = torch.ones(1, 1, 1, step + 1, dtype=torch.bool)
        positions = torch.tensor([[step]])
        hidden = run_layers(tiny.model, embedded, 0, LAYERS, positions=positions, mask=mask, cache=cache)
        cache.length += 1
        torch.testing.assert_close(hidden[:, 0], expected[kept, step], atol=1e-5, rtol=1e-5)
    assert cache.rows == 2


@given(prefix=st.integers(1, 6), length=st.integers(1, 6))
def test_the_mask_is_causal_after_the_prefix(prefix: int, length: int) -> None:
    mask = causal_mask(prefix, length, torch.device("cpu"))
    assert mask is not None and mask.shape == (1, 1, length, prefix + length)
    assert all(bool(mask[0, 0, i, j]) == (j <= prefix + i) for i in range(length) for j in range(prefix + length))
    assert causal_mask(0, length, torch.device("cpu")) is None


@given(rows=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=5))
def test_the_common_prefix_leaves_every_row_a_token(rows: list[list[int]]) -> None:
    brute = 0
    while all(len(row) > brute + 1 for row in rows) and len({row[brute] for row in rows}) == 1:
        brute += 1
    assert common_prefix(rows) == brute
