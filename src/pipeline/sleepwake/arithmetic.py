"""Synthetic arithmetic: four operations, three levels, split by what an expression means and not by how it is written.

problems(seed=1, level="basic", part="test", count=500)

``3+5`` and ``5+3`` have one canonical form, whose hash alone decides the part it belongs to. So no question of one part
can be in another, whatever seeds drew them, and parts need not know of each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.errors import DataError

Level = Literal["basic", "medium", "advanced"]
Part = Literal["train", "validation", "test"]
Operation = Literal["+", "-", "*", "/"]
OPERATIONS: tuple[Operation, ...] = ("+", "-", "*", "/")
RANGES: dict[Level, tuple[int, int]] = {"basic": (1, 20), "medium": (15, 50), "advanced": (40, 100)}
"""Least and largest operand; of a division, least and largest divisor and quotient."""
_TRAIN, _VALIDATION = 0.8, 0.9
_TRIES = 200


@dataclass(frozen=True)
class Problem:
    """One question.

    Attributes:
        left: First operand.
        operation: One of + - * /.
        right: Second operand; it divides the first without rest if the operation is /.
    """

    left: int
    operation: Operation
    right: int

    @property
    def question(self) -> str:
        """Such as ``12+7=``."""
        return f"{self.left}{self.operation}{self.right}="

    @property
    def answer(self) -> str:
        """In decimal digits, with a minus sign if below 0."""
        values = {
            "+": self.left + self.right,
            "-": self.left - self.right,
            "*": self.left * self.right,
            "/": self.left // self.right,
        }
        return str(values[self.operation])

    @property
    def canonical(self) -> str:
        """The expression with the smaller operand first where order means nothing."""
        left, right = self.left, self.right
        if self.operation in "+*":
            left, right = min(left, right), max(left, right)
        return f"{left}{self.operation}{right}"


def part_of(canonical: str) -> Part:
    """The part of an expression, by the SHA-256 of its canonical form: 80 % train, 10 % validation, 10 % test."""
    share = int.from_bytes(hashlib.sha256(canonical.encode()).digest()[:8]) / 2**64
    return "train" if share < _TRAIN else "validation" if share < _VALIDATION else "test"


def problems(
    seed: int, level: Level, part: Part, count: int, operations: Sequence[Operation] = OPERATIONS
) -> list[Problem]:
    """Different problems of one part, drawn uniformly over operations and operands.

    Args:
        seed: Of the draws.
        level: Size of operands, see `RANGES`.
        part: Which expressions may be drawn.
        count: How many; no two are the same as written, though ``3+5`` and ``5+3`` may both occur.
        operations: Those that may be drawn.

    Raises:
        DataError: There are too few such problems.
    """
    generator, found = np.random.default_rng([seed, *f"{level} {part}".encode()]), dict[str, Problem]()
    low, high = RANGES[level]
    for _ in range(_TRIES * count):
        if len(found) == count:
            break
        operation = operations[int(generator.integers(len(operations)))]
        left, right = (int(operand) for operand in generator.integers(low, high + 1, size=2))
        problem = Problem(left * right if operation == "/" else left, operation, right)
        if part_of(problem.canonical) == part:
            found[problem.question] = problem
    if len(found) < count:
        raise DataError(
            f"{level} {part} arithmetic: expected {count} different problems, found {len(found)}; ask fewer"
        )
    return list(found.values())
