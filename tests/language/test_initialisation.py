"""Where an adapter starts: directions that facts have and general text has not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.language import LoraConfig
from pipeline.language.adapter import attach, trainable
from pipeline.language.curvature import general_moments
from pipeline.language.encoding import EncodedRows, collate, encode, run_lower, upper_logits
from pipeline.language.initialisation import DAMPING, distinctive_directions, start_from_data
from pipeline.language.models import LanguageModel
from tests.language.examples import general_rows, question_rows

CONFIG = LoraConfig(first_layer=2, rank=4, alpha=8)


@given(seed=st.integers(0, 999), width=st.integers(2, 9), data=st.data())
def test_no_direction_stands_out_more(seed: int, width: int, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, width))
    generator = np.random.default_rng(seed)
    facts, general = (x @ x.T / 20 for x in generator.normal(size=(2, width, 20)))
    found = distinctive_directions(facts, general, rank)
    assert found.shape == (rank, width)
    damped = general + DAMPING * np.trace(general) / width * np.eye(width)
    power = np.einsum("rd,de,re->r", found, facts, found)
    assert power == pytest.approx(np.full(rank, np.trace(facts) / (3 * width)))
    ratios = power / np.einsum("rd,de,re->r", found, damped, found)
    assert list(ratios) == sorted(ratios, reverse=True)
    others = generator.normal(size=(50, width))
    best = np.einsum("rd,de,re->r", others, facts, others) / np.einsum("rd,de,re->r", others, damped, others)
    assert ratios[0] >= best.max() * (1 - 1e-9)
    crossed = found @ damped @ found.T
    np.fill_diagonal(crossed, 0)
    assert np.abs(crossed).max() < 1e-6 * max(1.0, np.abs(found).max() ** 2)


def fresh(lm: LanguageModel, rows: int | None = None) -> EncodedRows:
    attach(lm, CONFIG, seed=3)
    encoded = encode(lm, [*question_rows(lm), *general_rows()][:rows], CONFIG.first_layer)
    run_lower(lm, encoded)
    return encoded


def test_the_start_moves_a_and_not_the_model(own_tiny: LanguageModel) -> None:
    encoded = fresh(own_tiny)
    before = {name: value.detach().clone() for name, value in trainable(own_tiny.model).items()}
    logits = upper_logits(own_tiny, encoded, collate(encoded, encoded.rows[:2])).detach()
    start_from_data(own_tiny, encoded, general_moments(own_tiny, encoded, 1), 1)
    after = trainable(own_tiny.model)
    for name, value in before.items():
        assert torch.equal(value, after[name]) == ("lora_B" in name), name
    layer = "model.layers.3.self_attn"
    assert torch.equal(after[f"{layer}.q_proj.lora_A.default.weight"], after[f"{layer}.v_proj.lora_A.default.weight"])
    assert torch.equal(logits, upper_logits(own_tiny, encoded, collate(encoded, encoded.rows[:2])))
    found = {name: value.detach().clone() for name, value in after.items()}
    start_from_data(own_tiny, encoded, general_moments(own_tiny, encoded, 1), 1)
    assert all(torch.equal(value, trainable(own_tiny.model)[name]) for name, value in found.items())


def test_without_rehearsal_the_random_start_stays(own_tiny: LanguageModel) -> None:
    encoded = fresh(own_tiny, rows=4)
    before = {name: value.detach().clone() for name, value in trainable(own_tiny.model).items()}
    start_from_data(own_tiny, encoded, general_moments(own_tiny, encoded, 1), 1)
    assert all(torch.equal(value, before[name]) for name, value in trainable(own_tiny.model).items())
