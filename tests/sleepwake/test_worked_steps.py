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
        (Problem(12, "*", 3), "2*3+0=6,0 1*3+0=3,0 .36 :36"),
        (Problem(17, "*", 12), "7*2+0=4,1 1*2+1=3,0 .34 7*1+0=7,0 1*1+0=1,0 .170 0+4+0=4,0 7+3+0=0,1 1+0+1=2,0 :204"),
        (Problem(12, "*", 10), "2*0+0=0,0 1*0+0=0,0 .0 2*1+0=2,0 1*1+0=1,0 .120 :120"),
        (
            Problem(34, "/", 17),
            "1.17 2.34 3.51 4.68 5.85 6.102 7.119 8.136 9.153 3,0 34,2.34 4-4-0=0,0 3-3-0=0,0 .0 :2",
        ),
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
        for a, times, carry, digit, behind in re.findall(r"(\d)\*(\d)\+(\d)=(\d),(\d)", text):
            assert int(a) * int(times) + int(carry) == int(digit) + 10 * int(behind)
        parts = [int(part) for part in re.findall(r" \.(\d+)", text)]
        assert problem.operation != "*" or sum(parts) == int(problem.answer)
        for count, multiple in re.findall(r"(\d)\.(\d+)", text):
            assert int(count) * problem.right == int(multiple)
        if problem.operation == "/":
            digits = re.findall(r" (\d+),(\d)(?= |\.(\d+) [^.]*\.(\d+))", text)
            assert int("".join(digit for _, digit, _, _ in digits)) == int(problem.answer)
            for rest, digit, multiple, left in digits:
                assert int(left or rest) == int(rest) - int(digit) * problem.right < problem.right
                assert int(multiple or 0) == int(digit) * problem.right


def test_the_answer_is_behind_the_last_mark() -> None:
    assert [answer_of(text) for text in ("1:2:3", "7", "")] == ["3", "7", ""]
