"""Answers are right, parts are disjoint by meaning, draws follow the seed."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest

from pipeline.errors import DataError
from pipeline.sleepwake.arithmetic import OPERATIONS, RANGES, Level, Operation, Part, Problem, part_of, problems

PARTS: tuple[Part, ...] = ("train", "validation", "test")


@pytest.mark.parametrize("level", list(RANGES))
def test_answers_are_right_and_operands_within_the_level(level: Level) -> None:
    low, high = RANGES[level]
    for problem in problems(0, level, "train", 400):
        left, right = Fraction(problem.left), Fraction(problem.right)
        expected = {"+": left + right, "-": left - right, "*": left * right, "/": left / right}[problem.operation]
        assert Fraction(problem.answer) == expected
        assert low <= problem.right <= high
        assert low <= (int(problem.answer) if problem.operation == "/" else problem.left) <= high


def test_parts_share_no_expression_in_either_order() -> None:
    drawn = {part: {one.canonical for one in problems(seed, "basic", part, 60)} for seed, part in enumerate(PARTS)}
    assert not drawn["train"] & drawn["test"]
    assert not drawn["train"] & drawn["validation"]
    assert not drawn["validation"] & drawn["test"]


def test_order_counts_where_it_means_something() -> None:
    def same(operation: Operation) -> bool:
        return Problem(8, operation, 4).canonical == Problem(4, operation, 8).canonical

    assert [same(operation) for operation in OPERATIONS] == [True, False, True, False]


def test_parts_have_their_shares() -> None:
    counts = Counter(part_of(f"{left}-{right}") for left in range(100) for right in range(100))
    assert counts["train"] == pytest.approx(8000, abs=150)
    assert counts["validation"] == pytest.approx(1000, abs=120)
    assert counts["test"] == pytest.approx(1000, abs=120)


def test_problems_differ_follow_the_seed_and_cover_the_operations() -> None:
    drawn = problems(3, "medium", "train", 400)
    assert len({one.question for one in drawn}) == 400
    assert drawn == problems(3, "medium", "train", 400)
    assert drawn != problems(4, "medium", "train", 400)
    assert min(Counter(one.operation for one in drawn).values()) > 60
    assert {one.operation for one in problems(3, "basic", "test", 20, ["*"])} == {"*"}


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(DataError, match="basic test arithmetic: expected 500 different problems"):
        problems(0, "basic", "test", 500, ["+"])
