"""Steps end in the right answer, every digit step is true, and so is every multiple."""

from __future__ import annotations

import re

import pytest

from pipeline.sleepwake.arithmetic import Level, Problem, problems
from pipeline.sleepwake.worked_steps import answer_of, worked


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem(12, "+", 19), "2+9+0=1,1 1+1+1=3,0 :31"),
        (Problem(99, "+", 7), "9+7+0=6,1 9+0+1=0,1 :106"),
        (Problem(42, "-", 15), "2-5-0=7,1 4-1-1=2,0 :27"),
        (Problem(7, "-", 15), "-15-7 5-7-0=8,1 1-0-1=0,0 :-8"),
        (Problem(12, "*", 3), "1.12 2.24 3.36 :36"),
        (Problem(17, "*", 12), "10.170 11.187 12.204 :204"),
        (Problem(204, "/", 17), "10.170 11.187 12.204 :12"),
    ],
)
def test_steps_of_known_problems(problem: Problem, text: str) -> None:
    assert worked(problem) == text


@pytest.mark.parametrize("level", ["basic", "medium", "advanced"])
def test_every_step_is_true(level: Level) -> None:
    for problem in problems(0, level, "train", 300):
        text = worked(problem)
        assert answer_of(text) == problem.answer
        for a, sign, b, carry, digit, behind in re.findall(r"(\d)([+-])(\d)[+-](\d)=(\d),(\d)", text):
            if sign == "+":
                assert int(a) + int(b) + int(carry) == int(digit) + 10 * int(behind)
            else:
                assert int(a) - int(b) - int(carry) == int(digit) - 10 * int(behind)
        number = problem.right if problem.operation == "/" else problem.left
        for times, multiple in re.findall(r"(\d+)\.(\d+)", text):
            assert int(times) * number == int(multiple)


def test_the_answer_is_behind_the_last_mark() -> None:
    assert [answer_of(text) for text in ("1:2:3", "7", "")] == ["3", "7", ""]
