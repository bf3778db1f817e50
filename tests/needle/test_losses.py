"""Losses: labels meet outputs here alone; equal labels are no negatives; regularisers are tensors with gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pipeline.config.emma import EmmaConfig, HolographicConfig, NeedleLossConfig
from pipeline.needle.heads import unitary
from pipeline.needle.losses import gate_loss, key_cosines, key_terms, loss, needles, value_nce
from tests.needle.sequences import sequences
from tests.needle.tiny import LEARNED, MARKED, MEMORY, tiny


@pytest.mark.parametrize("emma", [MARKED, LEARNED])
def test_every_term_has_a_gradient_and_every_parameter_one_from_them(emma: EmmaConfig) -> None:
    model, batch = tiny(emma), sequences(16)
    found = loss(model, model.with_oracle(batch, 0.5), batch, NeedleLossConfig(), MEMORY, 0.02)
    assert all(term.requires_grad for term in found.terms.values())
    assert ("gate" in found.terms) == (emma.writes == "learned")
    found.total.backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_weights_of_zero_leave_the_answer_s_cross_entropy_alone() -> None:
    model, batch = tiny(), sequences(16)
    none = NeedleLossConfig(prediction=0, write_cos=0, key_nce=0, key_cos=0, gate=0, addr_entropy_weight=0)
    found = loss(model, model(batch.tokens), batch, none, HolographicConfig(load_balance_coeff=0), 0.0)
    torch.testing.assert_close(found.total, found.terms["answer"])


def test_the_gated_weight_is_that_of_both_contrastive_terms() -> None:
    model, batch = tiny(), sequences(16)
    outputs = model.eval()(batch.tokens)
    off, on = (loss(model, outputs, batch, NeedleLossConfig(), MEMORY, weight) for weight in (0.0, 0.5))
    torch.testing.assert_close(on.total - off.total, 0.5 * (off.terms["nce_key"] + off.terms["nce_value"]))


def test_an_equal_value_elsewhere_is_no_negative() -> None:
    model, batch = tiny(), sequences(8)
    same = replace(batch, pair_val=torch.full_like(batch.pair_val, 9))
    outputs = model.eval()(batch.tokens)
    assert value_nce(model, outputs, needles(model, outputs, same), 0.1).item() == pytest.approx(0, abs=1e-5)
    assert value_nce(model, outputs, needles(model, outputs, batch), 0.1).item() > 1


def test_cosines_of_spectra_are_those_of_keys() -> None:
    one, other = (unitary(torch.randn(2, 3, 64, generator=torch.Generator().manual_seed(seed))) for seed in (0, 1))
    expected = torch.cosine_similarity(torch.fft.irfft(one)[:, :, None], torch.fft.irfft(other)[:, None], dim=-1)
    torch.testing.assert_close(key_cosines(one, other, 64), expected)


def test_key_terms_vanish_where_the_question_s_key_is_the_needle_s_alone() -> None:
    model, batch = tiny(), sequences(8)
    outputs = model.eval()(batch.tokens)
    found = needles(model, outputs, batch)
    asked = (batch.tokens.gather(1, batch.pair_pos - 2) == batch.tokens.gather(1, batch.query_pos - 1)).long().argmax(1)
    keys = outputs.encoded.writes.keys[torch.arange(8), asked][:, None]
    perfect = replace(outputs, encoded=replace(outputs.encoded, query_keys=keys))
    terms = key_terms(model, perfect, batch, found, 0.1)
    assert terms["key_cos"].item() == pytest.approx(0, abs=1e-5)
    assert terms["nce_key"].item() < key_terms(model, outputs, batch, found, 0.1)["nce_key"].item()


def test_a_gate_that_opens_at_needles_alone_costs_nothing() -> None:
    logits = torch.full((1, 6), -20.0)
    logits[0, 2] = 20.0
    assert float(gate_loss(logits, torch.tensor([[2, -1]]))) == pytest.approx(0, abs=1e-6)
    assert float(gate_loss(logits, torch.tensor([[3, -1]]))) == pytest.approx(10 + 20 / 5 / 2, rel=1e-3)


def test_a_missing_label_counts_nowhere() -> None:
    model, batch = tiny(), sequences(8)
    outputs = model.eval()(batch.tokens)
    fewer = replace(batch, target=batch.target.clone(), pair_val=batch.pair_val.clone())
    fewer.target[0], fewer.pair_val[0] = -1, -1
    rest, tokens = batch.rows(slice(1, None)), batch.tokens[1:]
    part = loss(model, model(tokens), rest, NeedleLossConfig(), MEMORY, 0.02)
    whole = loss(model, outputs, fewer, NeedleLossConfig(), MEMORY, 0.02)
    for name, term in part.terms.items():
        torch.testing.assert_close(whole.terms[name], term, atol=1e-4, rtol=1e-4, msg=name)
