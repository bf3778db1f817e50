"""A comparison of runs as one self-contained HTML page: no script, no request, for phone and desktop, light and dark.

Every text of a user or a model is escaped by Jinja2.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.report.answer_changes import Turn, some_turns
from pipeline.report.compare import Comparison, Rows
from pipeline.report.comparison_plots import comparison_plots
from pipeline.report.comparison_terminal import sparkline
from pipeline.report.exchanges import Key
from pipeline.report.figures import duration

MOST_TURNS = 200  # questions on the page
_OPEN = 25  # figures that are shown before the rest is folded


def comparison_page(comparison: Comparison, questions: Mapping[Key, str] | None = None) -> str:
    """The page.

    Args:
        comparison: What differs.
        questions: Texts by item and form, as far as they are known.
    """
    environment = Environment(
        loader=PackageLoader("pipeline.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    turns = some_turns(comparison.changes.turns, MOST_TURNS)
    return environment.get_template("compare.html.j2").render(
        runs=_runs(comparison),
        labels=comparison.labels,
        equal=comparison.equal,
        plots=[(title, base64.b64encode(png).decode()) for title, png in comparison_plots(comparison).items()],
        sections=[(t, rows) for t, rows in (("Configuration", comparison.config), ("Data", comparison.data)) if rows],
        figures=_with_lines(comparison.figures[:_OPEN]),
        more_figures=_with_lines(comparison.figures[_OPEN:]),
        answers=[
            (label, arm, *counts)
            for label, told in zip(comparison.labels[1:], comparison.answers, strict=True)
            for arm, counts in told.by_arm.items()
        ],
        totals=list(zip(comparison.labels[1:], comparison.answers, strict=True)),
        turns=[(turn, _question(turn, questions or {})) for turn in turns],
        n_turns=len(comparison.changes.turns),
    )


def _runs(comparison: Comparison) -> list[dict[str, object]]:
    return [
        {
            "label": label,
            "name": f"{report.flow}/{report.deployment}/{report.run_id}",
            "started": report.started[:16].replace("T", " "),
            "seconds": duration(sum(report.timings.values())),
            "promoted": report.promoted,
            "failed": ", ".join(guard.name for guard in report.guards if not guard.passed),
        }
        for label, report in zip(comparison.labels, comparison.reports, strict=True)
    ]


def _with_lines(rows: Rows) -> list[tuple[str, tuple[str, ...], str]]:
    return [(name, texts, sparkline(texts) if len(texts) > 2 else "") for name, texts in rows]


def _question(turn: Turn, questions: Mapping[Key, str]) -> str:
    _, item, relation, form = turn.key
    return questions.get((item, form)) or f"{item}, {relation}, {form}"
