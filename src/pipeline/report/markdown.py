"""``report.md``: the night as Markdown; every text of a user or a model is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from pipeline.report.base import RunReport
from pipeline.report.composed_table import composed_table
from pipeline.report.exchanges import Exchange
from pipeline.report.figures import (
    Table,
    arms_table,
    duration,
    forget_table,
    forms_table,
    guards_table,
    headline,
    other_table,
    stages_table,
    usable_table,
)
from pipeline.report.schema import Report
from pipeline.terminal import visible

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~>$-])")


def escape(text: str) -> str:
    """Text that Markdown and HTML show as it stands, on one line."""
    shown = _SPECIAL.sub(r"\\\1", html.escape(visible(" ".join(text.split())), quote=False))
    return re.sub(r"^(\d+)\.(?=\s|$)", r"\1\\.", shown)  # a number that would begin a list


def _plain(text: str) -> str:
    """For figures and our own names: only what would break a table cell."""
    return html.escape(visible(text), quote=False).replace("|", "\\|")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return [f"| {' | '.join(line)} |" for line in lines] + [""]


def section(table: Table) -> list[str]:
    """Lines of a heading and its table; none for a table without rows."""
    rows = [[_plain(cell) for cell in row] for row in table.rows]
    return [f"## {table.title}", "", *_table([_plain(column) for column in table.columns], rows)] if table.rows else []


def _exchanges(title: str, exchanges: Sequence[Exchange]) -> list[str]:
    if not exchanges:
        return []
    columns = ("", "question", "gold", "before", "memory on", "after")
    rows = [
        [
            "✓" if e.right else "✗",
            *(escape(text or "") for text in (e.question, e.gold, e.before, e.memory_on, e.after)),
        ]
        for e in exchanges
    ]
    return [f"## {title}", "", *_table(columns, rows)]


def markdown(
    report: Report,
    sample: Sequence[Exchange] = (),
    failed: Sequence[Exchange] = (),
    n_failed: int = 0,
    plots: Iterable[str] = (),
) -> str:
    """The report as Markdown.

    Args:
        report: The figures.
        sample: Exchanges to show.
        failed: Wrong answers to show.
        n_failed: How many wrong answers there are in all.
        plots: Names of the files in ``plots/``.
    """
    return render_markdown(
        report,
        headline(report),
        (composed_table(report), usable_table(report), arms_table(report), forget_table(report)),
        (forms_table(report), other_table(report), stages_table(report)),
        plots,
        sample,
        failed,
        n_failed,
    )


def render_markdown(
    report: RunReport,
    cards: Iterable[tuple[str, str, str]],
    tables: Iterable[Table],
    details: Iterable[Table],
    plots: Iterable[str],
    sample: Sequence[Exchange] = (),
    failed: Sequence[Exchange] = (),
    n_failed: int = 0,
) -> str:
    """The Markdown of any flow's report; arguments as of `pipeline.report.page.render_page`, plots by file name."""
    verdict = "promoted to champion" if report.promoted else "**not promoted**"
    lines = [
        f"# {_plain(report.flow)}/{_plain(report.deployment)}, run {_plain(report.run_id)}",
        "",
        f"Model {escape(report.model)}, seed {report.seed}, {verdict}. Started {report.started}, finished "
        f"{report.finished}; the stages took {duration(sum(report.timings.values()))} ({report.placement}). Config "
        f"`{report.config_hash}`, code `{report.code_version[:16]}`.",
        "",
        *(f"> {escape(note)}" for note in report.notes),
        "",
        *_table(("figure", "value", ""), [[_plain(cell) for cell in card] for card in cards]),
        *section(guards_table(report)),
        *(line for table in tables for line in section(table)),
        *(line for name in plots for line in (f"![{name}](plots/{name}.png)", "")),
        *_exchanges("Answers side by side", sample),
        *_exchanges(f"Wrong answers after the night ({len(failed)} of {n_failed})", failed),
        *(line for table in details for line in section(table)),
    ]
    return "\n".join(lines).rstrip() + "\n"
