"""Where an adapter starts: directions that facts have and general text has not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.language import LoraConfig
from pipeline.language.adapter import adapted_layers, attach, trainable
from pipeline.language.curvature import general_moments, input_of
from pipeline.language.encoding import EncodedRows, collate, encode, run_lower, upper_logits
from pipeline.language.initialisation import DAMPING, _second_moments, distinctive_directions, start_from_data
from pipeline.language.models import LanguageModel
from tests.language.examples import general_rows, question_rows

CONFIG = LoraConfig(first_layer=2, rank=4, alpha=8)


@given(seed=st.integers(0, 999), width=st.integers(2, 9), data=st.data())
def test_no_direction_stands_out_more(seed: int, width: int, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, width))
    generator = np.random.default_rng(seed)
    facts, other = (x @ x.T / 20 for x in generator.normal(size=(2, width, 20)))
    found = distinctive_directions(facts, other, rank)
    assert found.shape == (rank, width)
    damped = other + DAMPING * np.trace(other) / width * np.eye(width)
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


def test_facts_have_to_stand_out_from_their_namesakes_too(own_tiny: LanguageModel) -> None:
    attach(own_tiny, CONFIG, seed=3)
    asked = [row for row in question_rows(own_tiny) if row.split == "train"]
    namesakes = [
        replace(row, kind="namesake", row_id=f"n/{row.row_id}", prompt=row.prompt.replace("Mona", "Bo"), target=" h")
        for row in asked
        if row.episode_id == "f0"
    ]
    strangers = [replace(row, row_id=f"s/{row.row_id}", episode_id="f9") for row in namesakes]
    encoded = encode(own_tiny, [*asked, *namesakes, *strangers, *general_rows()], CONFIG.first_layer)
    run_lower(own_tiny, encoded)
    general = general_moments(own_tiny, encoded, 1)
    start_from_data(own_tiny, encoded, general, 1)
    name, module = next(iter(adapted_layers(own_tiny.model).items()))
    of_rows = dict(zip([row.row.row_id for row in encoded.rows], encoded.rows, strict=True))
    facts, other = (
        _second_moments(own_tiny, encoded, [of_rows[row.row_id] for row in rows])[input_of(name)]
        for rows in (asked, namesakes)
    )
    expected = distinctive_directions(facts, general[name].inputs.double().numpy() + other, CONFIG.rank)
    found = module.lora_A["default"].weight.detach().double().numpy()
    overlap = np.linalg.svd(np.linalg.qr(found.T)[0].T @ np.linalg.qr(expected.T)[0], compute_uv=False)
    assert overlap.min() > 0.99


def test_without_rehearsal_the_random_start_stays(own_tiny: LanguageModel) -> None:
    encoded = fresh(own_tiny, rows=4)
    before = {name: value.detach().clone() for name, value in trainable(own_tiny.model).items()}
    start_from_data(own_tiny, encoded, general_moments(own_tiny, encoded, 1), 1)
    assert all(torch.equal(value, before[name]) for name, value in trainable(own_tiny.model).items())
