"""Calculations written out, so that a small model can follow a procedure where it could only remember results.

12+19=   2+9+0=1,1 1+1+1=3,0 :31        digits from the units on, each with the carry before and behind it
7-15=    -15-7 5-7-0=8,1 1-0-1=0,0 :-8  the larger number first, then digits with a borrow
13*17=   10.130 11.143 … 17.221 :221    multiples of the first number, from ten of them on if there are so many
221/17=  10.170 11.187 12.204 13.221 :13

Behind the colon stands the answer. Nye et al. 2021 (scratchpads), arXiv:2112.00114.
"""

from __future__ import annotations

from pipeline.sleepwake.arithmetic import Problem

ANSWER = ":"
"""Stands before the answer."""


def worked(problem: Problem) -> str:
    """Steps, the mark and the answer."""
    left, right = problem.left, problem.right
    if problem.operation == "+":
        steps = _digits(left, right, "+")
    elif problem.operation == "-":
        swapped = left < right
        steps = (f"-{right}-{left} " if swapped else "") + _digits(max(left, right), min(left, right), "-")
    elif problem.operation == "*":
        steps = _multiples(left, right)
    else:
        steps = _multiples(right, left // right)
    return f"{steps}{ANSWER}{problem.answer}"


def answer_of(text: str) -> str:
    """What stands behind the last mark; all of a text without one."""
    return text.rpartition(ANSWER)[2]


def _digits(left: int, right: int, operation: str) -> str:
    """Addition or subtraction of numbers of which the first is not smaller, digit by digit."""
    carry, steps = 0, ""
    first, second = str(left)[::-1], str(right)[::-1]
    for place in range(max(len(first), len(second))):
        a, b = (int(digits[place]) if place < len(digits) else 0 for digits in (first, second))
        total = a + b + carry if operation == "+" else a - b - carry
        behind = int(total > 9 or total < 0)
        steps += f"{a}{operation}{b}{operation}{carry}={total % 10},{behind} "
        carry = behind
    return steps


def _multiples(number: int, count: int) -> str:
    """Multiples of a number up to ``count`` of them, from the last full ten on."""
    first = max(1, count // 10 * 10)
    return "".join(f"{times}.{times * number} " for times in range(first, count + 1))
