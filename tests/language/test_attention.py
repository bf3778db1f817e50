"""Attention by plain products against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.language.attention import grouped, grouped_attention
from pipeline.language.decoder import causal_mask
from pipeline.language.models import LanguageModel


@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 3), st.integers(1, 6)),
    prefix=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_it_is_scaled_dot_product_attention(sizes: tuple[int, int, int, int], prefix: int, seed: int) -> None:
    batch, groups, share, length = sizes
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(batch, groups * share, length, 8, generator=generator)
    key, value = torch.randn(2, batch, groups, prefix + length, 8, generator=generator)
    mask = causal_mask(prefix, length, torch.device("cpu"))
    found, weights = grouped_attention(None, query, key, value, mask, 0.3)
    full = torch.ones(length, prefix + length, dtype=torch.bool).tril(prefix)
    expected = torch.nn.functional.scaled_dot_product_attention(
        query, key.repeat_interleave(share, 1), value.repeat_interleave(share, 1), attn_mask=full, scale=0.3
    )
    torch.testing.assert_close(found, expected.transpose(1, 2), atol=1e-5, rtol=1e-5)
    assert weights is None


def test_a_model_attends_so_within_the_block_only(own_tiny: LanguageModel) -> None:
    ids = torch.randint(3, 400, (2, 9), generator=torch.Generator().manual_seed(2))
    before = own_tiny.model.config._attn_implementation
    plain = own_tiny.model(ids).logits
    with pytest.raises(ValueError, match="broken"), grouped(own_tiny.model):
        assert own_tiny.model.config._attn_implementation != before
        raise ValueError("broken")
    assert own_tiny.model.config._attn_implementation == before
    with grouped(own_tiny.model):
        torch.testing.assert_close(own_tiny.model(ids).logits, plain, atol=1e-4, rtol=1e-4)
