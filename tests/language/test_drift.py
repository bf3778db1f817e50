"""Drift against the whole-vocabulary divergence, position by position."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.language.drift import drift_rows, token_drift
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import START
from pipeline.suites.drift_text import DRIFT_DOMAINS, load_drift
from tests.language.examples import mixed_rows, plain_logits, tokens_of


def test_a_model_does_not_drift_from_itself(tiny: LanguageModel) -> None:
    rows = mixed_rows(tiny)
    found = token_drift(tiny, tiny, rows)
    assert sum(len(d.kl) for d in found) == sum(len(tokens_of(tiny, row.target)) for row in rows)
    for drifted in found:
        np.testing.assert_array_equal(drifted.base, drifted.post)
        np.testing.assert_allclose(drifted.kl, 0, atol=1e-6)


@pytest.mark.parametrize("changed", ["layers.1.mlp.down_proj", "embed_tokens", "norm"])
def test_it_equals_the_divergence_of_plain_forward_passes(
    tiny: LanguageModel, own_tiny: LanguageModel, changed: str
) -> None:
    with torch.no_grad():
        own_tiny.model.model.get_submodule(changed).weight.mul_(1.5)
    rows, told = mixed_rows(tiny), []
    found = token_drift(tiny, own_tiny, rows, told.append)
    assert sum(told) == len(rows)
    expected = []
    for row in rows:
        p, q = (torch.log_softmax(plain_logits(lm, row).double(), -1) for lm in (tiny, own_tiny))
        target = torch.tensor(tokens_of(tiny, row.target))[:, None]
        expected.append(((p.exp() * (p - q)).sum(1), p.gather(1, target)[:, 0], q.gather(1, target)[:, 0], row.form))
    order = {float(e[1].sum()): e for e in expected}
    for drifted in found:
        own = min(order, key=lambda total: abs(total - float(drifted.base.sum())))
        kl, base, post, form = order.pop(own)
        assert drifted.domain == form
        np.testing.assert_allclose(drifted.kl, kl, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(drifted.base, base, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(drifted.post, post, rtol=1e-4, atol=1e-4)
    assert not order


def test_passages_come_until_there_are_enough_tokens(tiny: LanguageModel) -> None:
    for domain in DRIFT_DOMAINS:
        texts = load_drift(domain)
        rows = drift_rows(tiny, texts, 500)
        lengths = [len(tokens_of(tiny, row.target)) for row in rows]
        assert sum(lengths[:-1]) < 500 <= sum(lengths)
        assert [row.target for row in rows] == [text.text for text in texts[: len(rows)]]
        assert {row.form for row in rows} == {domain}
        for row, text in zip(rows, texts, strict=False):
            assert row.prompt == START if text.prompt is None else text.prompt in row.prompt
    assert len(drift_rows(tiny, texts[:7], None)) == 7
