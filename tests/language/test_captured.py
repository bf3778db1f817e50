"""On a GPU, recorded steps give the gradients of plain ones."""

from __future__ import annotations

import copy

import pytest
import torch

from pipeline.language.adapter import attach, trainable
from pipeline.language.curvature import CurvatureAnchor, general_moments
from pipeline.language.encoding import encode, run_lower
from pipeline.language.fused import fused_lora
from pipeline.language.models import LanguageModel
from pipeline.language.steps import PlainBackward, accumulate_gradients
from pipeline.language.training import Trainer
from tests.language.test_training import CONFIG, rows_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def night(tiny: LanguageModel) -> Trainer:
    lm = copy.copy(tiny)
    lm.model, lm.device = copy.deepcopy(tiny.model).cuda(), torch.device("cuda")
    attach(lm, CONFIG, seed=3)
    encoded = encode(lm, rows_of(lm), CONFIG.first_layer)
    run_lower(lm, encoded)
    for parameter in trainable(lm.model).values():
        torch.nn.init.normal_(parameter, std=0.1)
    return Trainer(lm, encoded, CONFIG, 3, CurvatureAnchor(lm, general_moments(lm, encoded, 3)))


def test_a_recorded_step_has_the_gradients_of_a_plain_one(tiny: LanguageModel) -> None:
    own = night(tiny)
    assert own.anchor is not None
    found = []
    with fused_lora(own.lm.model):
        for rows in (own.encoded.rows[:5], own.encoded.rows[3:]):
            for backward in (own.backward, own.backward, PlainBackward(own.lm, own.encoded)):
                own.optimiser.zero_grad(set_to_none=False)
                loss = accumulate_gradients(own.lm, own.encoded, rows, CONFIG, backward)
                gradients = {n: p.grad.clone() for n, p in own.parameters.items() if p.grad is not None}
                assert loss.cross_entropy > 0 and all(bool(g.isfinite().all()) for g in gradients.values())
                found.append((loss, gradients))
    for recorded, plain in ((found[0], found[2]), (found[1], found[2]), (found[3], found[5]), (found[4], found[5])):
        assert recorded[0].total == pytest.approx(plain[0].total, rel=1e-3)
        assert recorded[0].by_row == pytest.approx(plain[0].by_row, rel=1e-3)
        for name, expected in plain[1].items():
            torch.testing.assert_close(recorded[1][name], expected, atol=1e-4, rtol=1e-3, msg=name)


def test_a_night_learns(tiny: LanguageModel) -> None:
    steps = night(tiny).run()
    assert steps[-1].cross_entropy < steps[0].cross_entropy
