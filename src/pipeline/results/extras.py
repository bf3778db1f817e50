"""Sections for what is no group of runs: the table of a sweep, the figures of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.report.figures import NOT_MEASURED
from pipeline.report.markdown import escape
from pipeline.results.reading import SweepTable
from pipeline.results.text import fixed, paragraph, table

SWEPT = {
    "held_out": "unseen phrasings",
    "all_nights": "all nights",
    "near_miss": "namesakes",
    "kl": "KL",
    "ppl_ratio": "perplexity",
    "kept": "kept",
    "seconds": "seconds",
}
"""Columns of ``sweep.csv`` that are shown, with their headings."""


def sweep_section(sweep: SweepTable) -> list[str]:
    """The table of ``engram sweep``."""
    present = [name for name in SWEPT if any(row.get(name) for row in sweep.rows)]
    rows = [
        (
            escape(row.get("variant") or ""),
            f"`{row['settings']}`" if row.get("settings") else "as they are",
            row.get("seeds") or NOT_MEASURED,
            *(_with_interval(row, name) for name in present),
            escape(row.get("failed") or "") or "none",
        )
        for row in sweep.rows
    ]
    told = f"`engram sweep {sweep.name}`: means over seeds, and 95 % of them; of one seed the interval over its facts."
    columns = ("variant", "settings", "seeds", *(SWEPT[name] for name in present), "failed")
    return [f"## Sweep {escape(sweep.name)}", "", *paragraph(told), *table(columns, rows)]


def _with_interval(row: Mapping[str, str], name: str) -> str:
    try:
        value = float(row.get(name) or "")
    except ValueError:
        return NOT_MEASURED
    digits = 0 if abs(value) >= 100 else 4 if name in ("kl", "ppl_ratio") else 3
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return fixed(value, digits) + (
        f" ({fixed(float(low), digits)} to {fixed(float(high), digits)})" if low and high else ""
    )


def bench_section(name: str, figures: Mapping[str, Any]) -> list[str]:
    """Figures of a benchmark: single ones in one table, then its tables as they are."""
    if name == "methods" and all(isinstance(found, Mapping) and "held_out" in found for found in figures.values()):
        from pipeline.bench.comparison import row_of

        figures = {"methods": {method: row_of(found) for method, found in figures.items()}}
    single = [(escape(str(key)), _cell(value)) for key, value in figures.items() if not isinstance(value, Mapping)]
    lines = [f"## Benchmark {escape(name)}", "", f"`engram bench {name}`", "", *table(("figure", "value"), single)]
    for title, rows in figures.items():
        if isinstance(rows, Mapping):
            told = {key: row if isinstance(row, Mapping) else {"value": row} for key, row in rows.items()}
            columns = list(dict.fromkeys(column for row in told.values() for column in row))
            cells = [(escape(str(key)), *(_cell(row.get(c, "")) for c in columns)) for key, row in told.items()]
            lines += [f"{escape(str(title))}:", "", *table(("", *map(escape, columns)), cells)]
    return lines


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else escape(str(value)[:200])
