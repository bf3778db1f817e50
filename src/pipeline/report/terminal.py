"""Tables for the terminal."""

from __future__ import annotations

from rich.table import Table as RichTable
from rich.text import Text

from pipeline.report.base import RunReport
from pipeline.report.figures import Table, arms_table, guards_table
from pipeline.report.schema import Report

_STYLES = {"passed": "green", "FAILED": "bold red"}


def rich_table(table: Table, caption: str | None = None) -> RichTable:
    """A rich table of plain text: markup in the cells is shown, not obeyed."""
    drawn = RichTable(title=Text(table.title, style="bold"), title_justify="left", caption_justify="left")
    drawn.caption = Text(caption) if caption else None
    for i, column in enumerate(table.columns):
        drawn.add_column(Text(column), justify="left" if i == 0 else "default", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    return drawn


def summary_table(report: Report) -> RichTable:
    """All arms with intervals; the caption says what became of the night."""
    promoted = "promoted to champion" if report.promoted else "not promoted"
    return rich_table(arms_table(report), f"{report.flow}/{report.deployment} {report.run_id}: {promoted}")


def verdict_table(report: RunReport) -> RichTable:
    """All guards of any flow."""
    return rich_table(guards_table(report))
