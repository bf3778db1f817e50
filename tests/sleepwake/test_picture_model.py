"""Sequences as described, a causal model, and drawing that equals one code after the other."""

from __future__ import annotations

import pytest
import torch

from pipeline.config.sleepwake import ByteModelConfig
from pipeline.config.sleepwake_parts import CodebookConfig, DecisionConfig, PicturesConfig
from pipeline.progress import Silent
from pipeline.sleepwake.byte_model import BEGIN, VOCABULARY
from pipeline.sleepwake.discrepancy import code_distances
from pipeline.sleepwake.picture_measures import measure_pictures
from pipeline.sleepwake.picture_model import CELLS, PictureModel, direct, draw, letters, picture_places, pictured
from pipeline.sleepwake.picture_training import Walked, matched_steps, pictured_loss, step_flops, train_pictures

TINY = PicturesConfig(
    codebook=CodebookConfig(codes=8, dimension=4, width=8, blocks=0, steps=40, warmup=10, batch=16),
    model=ByteModelConfig(width=16, layers=1, heads=1, hidden=32, context=264),
    most_steps=2,
    walks=40,
    steps=10,
    batch=4,
    tested=12,
    decision=DecisionConfig(questions=12, steps=20),
)


def model() -> PictureModel:
    return PictureModel(TINY.model, 8, TINY.decision, seed=0)


def walked(count: int = 6, steps: int = 2) -> Walked:
    generator = torch.Generator().manual_seed(0)
    boards = torch.randint(8, (count, steps + 1, CELLS), generator=generator) + VOCABULARY
    return Walked(letters(["LD"[:steps]] * count), boards, letters(["G"] * count)[:, 0])


def test_sequences_are_as_described() -> None:
    one = walked(1)
    tokens, cells = pictured(one.actions, one.boards)
    begin, left, down, equals = BEGIN, ord("L"), ord("D"), ord("=")
    boards = one.boards[0].tolist()
    assert tokens[0].tolist() == [begin, left, down, *boards[0], left, *boards[1], down, *boards[2], equals]
    shown = list(range(CELLS))
    assert cells.tolist() == [CELLS] * 3 + shown + [CELLS] + shown + [CELLS] + shown + [CELLS]
    assert tokens[0, picture_places(2) + 1].tolist() == boards[1] + boards[2]
    tokens, cells = direct(one.actions, one.boards[:, 0])
    assert tokens[0].tolist() == [begin, left, down, *boards[0], equals] and len(cells) == tokens.shape[1]


def test_the_model_is_causal() -> None:
    one = walked(2)
    tokens, cells = pictured(one.actions, one.boards)
    changed = tokens.clone()
    changed[:, 80] = VOCABULARY + (changed[:, 80] - VOCABULARY + 1) % 8
    with torch.no_grad():
        before, after = model()(tokens, cells), model()(changed, cells)
    torch.testing.assert_close(before[:, :80], after[:, :80], atol=1e-5, rtol=0)
    assert not torch.allclose(before[:, 80:], after[:, 80:], atol=1e-4)


def test_drawing_is_what_one_code_after_the_other_gives() -> None:
    one, drawer = walked(3), model().eval()
    drawn, passes = draw(drawer, one.actions, one.boards[:, 0])
    assert drawn.shape == one.boards.shape and passes <= 2 * CELLS
    boards = one.boards[:, :1]
    with torch.no_grad():
        for step in range(2):
            blank = torch.full((3, 1, CELLS), VOCABULARY)
            boards = torch.cat([boards, blank], 1)
            for cell in range(CELLS):
                whole = torch.cat([boards, blank.expand(3, 3 - boards.shape[1], CELLS)], 1)
                place = int(picture_places(2)[step * CELLS + cell])
                logits = drawer(*pictured(one.actions, whole))
                boards[:, step + 1, cell] = logits[:, place, VOCABULARY:].argmax(-1) + VOCABULARY
    assert torch.equal(drawn, boards)


def test_the_discrepancy_is_added_with_its_weight() -> None:
    one, drawer = walked(), model().requires_grad_(False)
    distances = code_distances(torch.randn(8, 4, generator=torch.Generator().manual_seed(0)))
    none, light, heavy = (
        float(pictured_loss(drawer, one, d, w, 0.3)) for d, w in ((None, 1), (distances, 1), (distances, 3))
    )
    assert light > none
    assert heavy - none == pytest.approx(3 * (light - none), rel=1e-3)


def test_training_without_pictures_costs_as_much() -> None:
    with_pictures, without = (sum(step_flops(TINY, n, flag) for n in (1, 2)) for flag in (True, False))
    assert matched_steps(TINY) * without == pytest.approx(TINY.steps * with_pictures, rel=0.05)


def test_training_learns_and_follows_the_seed() -> None:
    losses: list[float] = []
    config = TINY.model_copy(update={"steps": 40, "curriculum": 0.0})
    training = [walked(8, 1), walked(8, 2)]
    first = train_pictures(training, None, config, 0, True, lambda step, loss: losses.append(loss))
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    again = train_pictures(training, None, config, 0, True)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_every_figure_is_measured() -> None:
    found = measure_pictures(TINY, seed=0, device="cpu", progress=Silent())
    arms = {
        f"{arm}.{name}"
        for arm in ("discrepancy", "pictures")
        for name in ("codes", "changed", "agent", "answer", "direct")
    }
    assert arms | {"cells", "without.direct", "gain", "discrepancy.gain", "decision.share"} <= set(found)
    assert found["decision.calls"] == 24
    shares = [value for name, value in found.items() if name in arms or name in ("cells", "decision.answer")]
    assert all(0 <= value <= 1 for value in shares)
    assert found["gain"] == pytest.approx(found["discrepancy.answer"] - found["without.direct"])
