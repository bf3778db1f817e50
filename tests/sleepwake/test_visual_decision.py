"""Counters move on every call, limits hold, and the decision is a part of the model that learns."""

from __future__ import annotations

import pytest
import torch

from pipeline.config.sleepwake import ByteModelConfig
from pipeline.config.sleepwake_parts import DecisionConfig
from pipeline.sleepwake.picture_model import PictureModel
from pipeline.sleepwake.picture_training import Tried, train_decision
from pipeline.sleepwake.visual_decision import DecisionState, VisualDecision

SIZES = ByteModelConfig(width=16, layers=1, heads=1, hidden=32, context=264)
CONFIG = DecisionConfig(threshold=0.5, max_pictures=3, min_tokens_between=20, steps=200)


@pytest.fixture
def decision() -> VisualDecision:
    return VisualDecision(16, CONFIG)


def test_counters_move_on_every_call_and_too_soon_passes(decision: VisualDecision) -> None:
    state, chosen = DecisionState(), list[bool]()
    for _ in range(1000):
        before = state
        state, pictured = decision.decide(0.9, 7, 2, state)
        chosen.append(pictured)
        assert state.calls == before.calls + 1
        assert state.tokens_since == (0 if pictured else before.tokens_since + 7)
        assert (state.pictured + state.too_soon, state.pictures) == (state.calls, 2 * state.pictured)
    assert chosen[:7] == [False, False, True, False, False, True, False]
    assert state.pictured == 333


@pytest.mark.parametrize(
    ("probability", "pictures", "expected"),
    [(0.5, 3, True), (0.49, 3, False), (0.9, 4, False), (0.9, 0, False), (1.0, 1, True)],
)
def test_limits(decision: VisualDecision, probability: float, pictures: int, expected: bool) -> None:
    state, pictured = decision.decide(probability, 50, pictures, DecisionState())
    assert pictured is expected
    assert state == DecisionState(1, int(expected), pictures * expected, 0, 0 if expected else 50)


def test_it_is_part_of_the_model_and_learns_when_pictures_help() -> None:
    model = PictureModel(SIZES, 4, CONFIG, seed=0)
    assert {name for name, _ in model.named_parameters() if name.startswith("decision.")} == {
        "decision.inner.weight",
        "decision.inner.bias",
        "decision.outer.weight",
        "decision.outer.bias",
    }
    generator = torch.Generator().manual_seed(0)
    hidden, steps = torch.randn(400, 16, generator=generator), torch.randint(1, 4, (400,), generator=generator)
    sure, unsure = torch.tensor([5.0, 0.0, 0.0]).log_softmax(0), torch.zeros(3).log_softmax(0)
    direct = torch.where(steps[:, None] == 1, sure, unsure)  # pictures help if there is more than one step
    zeros = torch.zeros(400, dtype=torch.long)
    tried = Tried(hidden, -(direct.exp() * direct).sum(-1), steps, direct, sure.expand(400, 3), zeros[:, None], zeros)
    before = [weight.clone() for name, weight in model.named_parameters() if not name.startswith("decision.")]
    assert train_decision(model, [tried], seed=0) < 0.1
    after = [weight for name, weight in model.named_parameters() if not name.startswith("decision.")]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    with torch.no_grad():
        agreed = (model.decision(hidden, tried.entropy, steps) > 0.5) == (steps > 1)
    assert float(agreed.float().mean()) > 0.98
