"""A comparison of runs in the terminal: short labels, what differs, and how a figure moves over the runs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table as RichTable

from pipeline.report.answer_changes import Turn, some_turns
from pipeline.report.compare import Comparison, Rows
from pipeline.report.figures import Table
from pipeline.report.terminal import rich_table

_BARS = "▁▂▃▄▅▆▇█"
_VERDICTS = {"no": 0.0, "yes": 1.0}
_MOST_COLUMNS = 4  # runs that get a column each; of more, equal values stand together


def comparison_tables(comparison: Comparison, examples: int = 10) -> list[RichTable]:
    """One table per kind of difference; a single one stands for runs that do not differ at all.

    Args:
        comparison: What differs.
        examples: Questions to show that turned from right to wrong or back, chosen by hash.
    """
    if comparison.equal:
        names = tuple((report.run_id,) for report in comparison.reports)
        return [rich_table(Table("No differences", ("runs",), names))]
    labels = comparison.labels
    tables = [_runs(comparison)]
    for title, rows in (("Configuration", comparison.config), ("Data", comparison.data)):
        if rows:
            tables.append(_settings(title, rows, labels))
    if comparison.figures:
        tables.append(_figures(comparison.figures, labels))
    if any(told.different for told in comparison.answers):
        tables.append(_answers(comparison))
    if comparison.changes.turns:
        tables.append(_turns(comparison.changes.turns, labels, examples))
    return tables


def _runs(comparison: Comparison) -> RichTable:
    rows = tuple(
        (label, f"{report.flow}/{report.deployment}/{report.run_id}", report.started[:16].replace("T", " "))
        for label, report in zip(comparison.labels, comparison.reports, strict=True)
    )
    return rich_table(Table("Runs", ("", "run", "started (UTC)"), rows))


def _settings(title: str, rows: Rows, labels: Sequence[str]) -> RichTable:
    """A column a run, or of many runs each value with the runs that have it."""
    if len(labels) <= _MOST_COLUMNS:
        return rich_table(Table(title, ("name", *labels), tuple((name, *texts) for name, texts in rows)))
    cells = tuple((name, _grouped(texts, labels)) for name, texts in rows)
    return rich_table(Table(title, ("name", "value: runs"), cells))


def _grouped(texts: Sequence[str], labels: Sequence[str]) -> str:
    runs: dict[str, list[str]] = {}
    for text, label in zip(texts, labels, strict=True):
        runs.setdefault(text, []).append(label)
    if len(runs) == len(texts):
        return f"another in every run, from {texts[0]} to {texts[-1]}"
    return " · ".join(f"{text}: {' '.join(owners)}" for text, owners in runs.items())


def _figures(rows: Rows, labels: Sequence[str]) -> RichTable:
    """A column a run; of many runs the first, the last, the lowest and the highest; and a line over three or more."""
    if len(labels) <= _MOST_COLUMNS:
        drawn = len(labels) > 2
        columns = ("name", *labels, *(("over the runs",) if drawn else ()))
        cells = tuple((name, *texts, *((sparkline(texts),) if drawn else ())) for name, texts in rows)
        return rich_table(Table("Figures", columns, cells))
    columns = ("name", labels[0], labels[-1], "lowest", "highest", "over the runs")
    return rich_table(Table("Figures", columns, tuple(_summary(name, texts) for name, texts in rows)))


def _summary(name: str, texts: Sequence[str]) -> tuple[str, ...]:
    known = sorted((value, text) for text in texts if (value := _number(text)) is not None)
    extremes = (known[0][1], known[-1][1]) if known else ("", "")
    return (name, texts[0], texts[-1], *extremes, sparkline(texts))


def sparkline(texts: Sequence[str]) -> str:
    """One bar a run from the lowest to the highest figure; a blank for a run without one, nothing for texts."""
    values = [_number(text) for text in texts]
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    width = (high - low) or 1.0
    return "".join(" " if v is None else _BARS[round((v - low) / width * (len(_BARS) - 1))] for v in values)


def _number(text: str) -> float | None:
    """A verdict counts as 0 or 1."""
    if text in _VERDICTS:
        return _VERDICTS[text]
    try:
        return float(text)
    except ValueError:
        return None


def _answers(comparison: Comparison) -> RichTable:
    """Counts a run, and of two runs by arm."""
    first, *later = comparison.labels
    pairs = list(zip(later, comparison.answers, strict=True))
    rows = [(label, "all", *map(str, (t.common, t.lost, t.won, t.reworded))) for label, t in pairs]
    if len(pairs) == 1:
        label, told = pairs[0]
        rows += [(label, arm, *map(str, counts)) for arm, counts in told.by_arm.items()]
    columns = ("run", "arm", "common", "right → wrong", "wrong → right", "reworded")
    return rich_table(Table(f"Answers, against {first}", columns, tuple(rows)))


def _turns(turns: Sequence[Turn], labels: Sequence[str], examples: int) -> RichTable:
    shown = some_turns(turns, examples)
    rows = tuple((turn.key[0], turn.key[1], turn.key[3], turn.gold, _marks(turn), _last_wrong(turn)) for turn in shown)
    columns = ("arm", "item", "form", "gold", "".join(labels) if max(map(len, labels)) == 1 else "runs", "wrong answer")
    return rich_table(Table(f"Questions that turned ({len(shown)} of {len(turns)})", columns, rows))


def _marks(turn: Turn) -> str:
    return "".join("·" if answer is None else "✓" if answer.right else "✗" for answer in turn.answers)


def _last_wrong(turn: Turn) -> str:
    return next(answer.text for answer in reversed(turn.answers) if answer is not None and not answer.right)
