"""Calculations written out, so that a small model can follow a procedure where it could only remember results.

12+19=   2+9+0=1,1 1+1+1=3,0 :31        digits from the units on, each with the carry before and behind it
7-15=    -15-7 5-7-0=8,1 1-0-1=0,0 :-8  the larger number first, then digits with a borrow
87*64=   7*4+0=8,2 8*4+2=4,3 .348 7*6+0=2,4 8*6+4=2,5 .5220 8+0+0=8,0 4+2+0=6,0 3+2+0=5,0 0+5+0=5,0 :5568
         the first number times each digit of the second from the units on, digit by digit, then their sum
442/17=  1.17 2.34 … 9.153 4,0 44,2.34 4-4-0=0,0 4-3-0=1,0 .10 102,6.102 2-2-0=0,0 0-0-0=0,0 1-1-0=0,0 .0 :26
         multiples of the divisor, then what is divided from the left on: a digit of the answer, and the multiple of the
         divisor taken away

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
        steps = _product(left, right)
    else:
        steps = _quotient(left, right)
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


def _product(left: int, right: int) -> str:
    """Long multiplication: a product for each digit of the second number, then sums."""
    steps, total = "", 0
    for place, times in enumerate(map(int, reversed(str(right)))):
        carry = 0
        for digit in map(int, reversed(str(left))):
            value = digit * times + carry
            steps += f"{digit}*{times}+{carry}={value % 10},{value // 10} "
            carry = value // 10
        part = left * times * 10**place
        steps += f".{part} "
        if total and part:
            steps += _digits(max(total, part), min(total, part), "+")
        total += part
    return steps


def _quotient(number: int, divisor: int) -> str:
    """Long division, behind the multiples that it compares with."""
    steps, rest = "".join(f"{times}.{times * divisor} " for times in range(1, 10)), 0
    for digit in str(number):
        rest = 10 * rest + int(digit)
        times = rest // divisor
        steps += f"{rest},{times}"
        if times:
            steps += f".{times * divisor} {_digits(rest, times * divisor, '-')}.{rest - times * divisor}"
        steps += " "
        rest -= times * divisor
    return steps
