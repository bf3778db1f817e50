"""What the loss counts, what a model may see, that decoding stops, and that training learns and keeps its budget."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.config.sleepwake import ByteModelConfig
from pipeline.config.sleepwake_parts import ArithmeticConfig
from pipeline.errors import DataError
from pipeline.sleepwake.arithmetic import Problem, part_of, problems
from pipeline.sleepwake.arithmetic_measures import asked, examined
from pipeline.sleepwake.arithmetic_training import (
    by_digits,
    continuations,
    every_problem,
    examples,
    response_loss,
    solved,
    train_arithmetic,
)
from pipeline.sleepwake.byte_model import END, VOCABULARY
from tests.sleepwake.tiny import model

TINY = ArithmeticConfig(
    model=ByteModelConfig(width=16, layers=1, heads=1, hidden=32, context=64),
    operations=("+", "-"),
    largest=30,
    steps=12,
    batch=8,
    tested=10,
)


def test_every_problem_of_a_part_and_no_other() -> None:
    parts = [every_problem("basic", part, ("+", "/")) for part in ("train", "validation", "test")]
    assert sum(len(part) for part in parts) == 800
    assert set(problems(0, "basic", "test", 30, ("+",))) <= set(parts[2])
    keys = [{one.canonical for one in part} for part in parts]
    assert not keys[0] & keys[1] and not keys[0] & keys[2] and not keys[1] & keys[2]
    assert all(one.right * int(one.answer) == one.left for one in parts[0] if one.operation == "/")


def test_the_loss_counts_responses_and_their_end_alone() -> None:
    tokens, counted = examples([Problem(3, "+", 4), Problem(13, "+", 14)], working=False)
    assert [bytes(row[:count].tolist()) for row, count in zip(tokens, (5, 8), strict=True)] == [b"3+4=7", b"13+14=27"]
    assert tokens[0, 5] == END and tokens[1, 8] == END
    assert counted.long().tolist() == [[0, 0, 0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1, 1, 1]]
    byte_model = model().requires_grad_(False)
    before = float(response_loss(byte_model, tokens, counted))
    changed = tokens.clone()
    changed[0, 6:] = 77  # behind the end
    assert float(response_loss(byte_model, changed, counted)) == before
    changed[0, 4] = ord("8")
    assert float(response_loss(byte_model, changed, counted)) != before


class Scripted(nn.Module):
    """Answers every question with the same bytes."""

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self.text, self.unused = [*text, END], nn.Parameter(torch.zeros(()))

    def forward(self, tokens: Tensor) -> Tensor:
        logits = torch.zeros(*tokens.shape, VOCABULARY)
        for row, values in enumerate(tokens.tolist()):
            behind = len(values) - 1 - max(place for place, value in enumerate(values) if value == ord("="))
            logits[row, -1, self.text[min(behind, len(self.text) - 1)]] = 1.0
        return logits


def test_decoding_ends_and_keeps_the_order_of_questions() -> None:
    assert continuations(Scripted(b"7"), ["3+4=", "13+14=", "5+2="], 5) == ["7"] * 3
    assert continuations(Scripted(b"12345"), ["3+4="], 3) == ["123"]
    asked_ones = [Problem(13, "+", 14), Problem(3, "+", 4), Problem(12, "-", 5)]
    assert solved(Scripted(b"steps :7"), asked_ones, working=True, context=64) == [False, True, True]
    assert solved(Scripted(b"7"), asked_ones, working=False, context=64) == [False, True, True]


def test_training_covers_every_number_of_digits_and_no_held_out_expression() -> None:
    groups = by_digits(TINY, "-")
    shapes = [
        {(len(str(one.left)), len(str(one.right)), np.sign(one.left - one.right)) for one in group} for group in groups
    ]
    assert all(len(shape) == 1 for shape in shapes)
    pairs = {(first, second, order) for first in (1, 2) for second in (1, 2) for order in (-1, 0, 1)}
    assert set.union(*shapes) == pairs - {(1, 2, 0), (1, 2, 1), (2, 1, 0), (2, 1, -1)}
    learned = {one.canonical for group in groups for one in group}
    assert learned and all(part_of(expression) == "train" for expression in learned)
    assert max(one.left for group in by_digits(TINY, "*") for one in group) == 20


def test_training_lowers_the_loss_follows_the_seed_and_keeps_a_budget() -> None:
    losses: list[float] = []
    _, spent = train_arithmetic(
        TINY.model_copy(update={"steps": 60}), 0, True, "cpu", told=lambda way, loss: losses.append(loss)
    )
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    one, flops = train_arithmetic(TINY, 0, True, "cpu")
    other, _ = train_arithmetic(TINY, 0, True, "cpu")
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    _, direct = train_arithmetic(TINY, 0, False, "cpu", budget=flops)
    assert flops <= direct < 1.1 * flops < spent


def test_responses_longer_than_the_context_are_refused() -> None:
    config = TINY.model_copy(update={"operations": ("*",), "table": 30})
    with pytest.raises(DataError, match=r"'\*' take up to \d+ bytes: raise context=64"):
        train_arithmetic(config, 0, working=True, device="cpu")


def test_figures_by_type() -> None:
    found = examined(model(), TINY, working=False)
    assert set(found) == {"addition", "subtraction", "accuracy", "two_digits", "validation"}
    assert found["accuracy"] == (found["addition"] + found["subtraction"]) / 2
    assert len(asked(TINY, "test", "+")) <= 10
