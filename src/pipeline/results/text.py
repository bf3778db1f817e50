"""How the page writes paragraphs, tables, links and figures."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from pipeline.report.figures import NOT_MEASURED
from pipeline.results.judging import spread

WIDTH = 140  # of a paragraph's lines


def paragraph(text: str) -> list[str]:
    """Lines of a width that an editor shows, then an empty one; none without text."""
    lines = textwrap.wrap(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)
    return [*lines, ""] if lines else []


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table whose cells are Markdown already, then an empty one; none without rows."""
    found = [list(row) for row in rows]
    return [f"| {' | '.join(line)} |" for line in (columns, ["---"] * len(columns), *found)] + [""] if found else []


def anchor(heading: str) -> str:
    """The name that a heading gets in a rendered page."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def fixed(value: float, digits: int, sign: bool = False) -> str:
    """A figure with a fixed number of decimals, and a minus sign that is one."""
    return f"{round(value, digits) + 0.0:{'+' if sign else ''},.{digits}f}".replace("-", "−")


def mean_cells(by_seed: Mapping[int, float], digits: int, sign: bool = False) -> tuple[str, str]:
    """Mean, and half of Student's interval over seeds; dashes where there is none."""
    found = spread(by_seed)
    if found is None:
        return NOT_MEASURED, NOT_MEASURED
    half = NOT_MEASURED if found.interval is None else f"± {fixed(found.interval[1] - found.mean, digits)}"
    return fixed(found.mean, digits, sign), half


def each(by_seed: Mapping[int, float], digits: int) -> str:
    """Every seed's figure, by seed."""
    return ", ".join(fixed(by_seed[seed], digits) for seed in sorted(by_seed)) or NOT_MEASURED
