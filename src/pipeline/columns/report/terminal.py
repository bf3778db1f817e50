"""Tables for a terminal of 80 columns; guards are those of `pipeline.report.terminal.verdict_table`."""

from __future__ import annotations

from dataclasses import replace

from rich.table import Table as RichTable

from pipeline.columns.report.schema import AFTER, BEFORE, ColumnsReport
from pipeline.columns.report.tables import accuracy_table, controls_table
from pipeline.report.figures import Table
from pipeline.report.terminal import rich_table


def accuracy_summary(report: ColumnsReport, width: int = 80) -> RichTable:
    """Accuracy by stage, before and after sleep alone where all stages do not fit; the caption tells the verdict."""
    table = _upright(accuracy_table(report))
    if _width(table) > width:
        table = _upright(accuracy_table(report, (BEFORE, AFTER)))
    promoted = "promoted to champion" if report.promoted else "not promoted"
    return rich_table(table, f"{report.flow}/{report.deployment} {report.run_id}: {promoted}")


def controls_summary(report: ColumnsReport) -> RichTable | None:
    """Every control with its mean accuracy and what sleep gains over it; None where none was run."""
    if not report.controls:
        return None
    table = controls_table(report, by_task=False)
    return rich_table(replace(table, columns=(*table.columns[:-1], "after sleep\nminus it")))


def _upright(table: Table) -> Table:
    """The same table with a line for every word of a heading: the columns are as narrow as their figures."""
    return replace(table, columns=tuple(column.replace(" ", "\n") for column in table.columns))


def _width(table: Table) -> int:
    """Columns of the terminal that a table takes with its borders, if nothing is folded."""
    columns = zip(table.columns, *table.rows, strict=True)
    return 1 + sum(max(len(line) for cell in cells for line in cell.split("\n")) + 3 for cells in columns)
