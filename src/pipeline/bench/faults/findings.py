"""What a campaign did and what it found: counts by row, and every invariant that did not hold."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.progress import Progress


@dataclass
class Findings:
    """Of one kind of fault.

    Attributes:
        progress: Advanced by one for every fault.
        table: Counts by row (a stage, a kind of file, …) and by what became of it.
        problems: Invariants that failed, each with where it can be looked at.
        faults: How many faults there were.
        extra: Single figures.
    """

    progress: Progress
    table: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    problems: list[str] = field(default_factory=list)
    faults: int = 0
    extra: dict[str, float | int | str] = field(default_factory=dict)

    def fault(self, row: str, outcome: str) -> None:
        """Count one fault."""
        self.faults += 1
        self.table[row][outcome] += 1
        self.progress.advance()

    def check(self, problems: Iterable[str], where: Path | str) -> list[str]:
        """Note what does not hold; returns it."""
        found = [f"{problem} [{where}]" for problem in problems]
        self.problems += found
        if found:
            self.progress.note(f"{len(self.problems)} problems")
        return found

    def to_json(self) -> dict[str, Any]:
        """For the result file."""
        table = {row: dict(counts) for row, counts in self.table.items()}
        return {"faults": self.faults, "table": table, "problems": self.problems, **self.extra}
