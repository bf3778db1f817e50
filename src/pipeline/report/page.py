"""``report.html``: one self-contained page that loads nothing, for phone and desktop, light and dark.

Every text of a user or a model is escaped by Jinja2, and a content security policy forbids scripts and requests.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

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

PLOT_TITLES = {
    "arms": "Exact match of every arm with its 95 % interval",
    "loss": "Training loss by step",
    "overlap": "EM of unseen phrasings against their overlap with trained ones",
    "sanity": "Accuracy on general questions before and after",
    "gate": "Gate scores of accepted and refused events",
    "replay": "Weights of the replayed samples",
}


def page(
    report: Report,
    plots: Mapping[str, bytes],
    sample: Sequence[Exchange] = (),
    failed: Sequence[Exchange] = (),
    n_failed: int = 0,
    config_text: str = "",
) -> str:
    """The report as one HTML page.

    Args:
        report: The figures.
        plots: PNG by name.
        sample: Exchanges to show.
        failed: Wrong answers to show.
        n_failed: How many wrong answers there are in all.
        config_text: The configuration that was used, as YAML.
    """
    return render_page(
        report,
        headline(report),
        {"composed": composed_table(report), "usable": usable_table(report), "arms": arms_table(report)},
        (forget_table(report), forms_table(report), other_table(report), stages_table(report)),
        {PLOT_TITLES.get(name, name): data for name, data in plots.items()},
        sample,
        failed,
        n_failed,
        config_text,
    )


def _shown(value: object) -> object:
    """Text without control characters; what is HTML already stays as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def render_page(
    report: RunReport,
    cards: Sequence[tuple[str, str, str]],
    tables: Mapping[str, Table],
    details: Sequence[Table],
    plots: Mapping[str, bytes],
    sample: Sequence[Exchange] = (),
    failed: Sequence[Exchange] = (),
    n_failed: int = 0,
    config_text: str = "",
) -> str:
    """The page of any flow's report.

    Args:
        report: The run, what it cost, its guards and notes.
        cards: Title, figure and explanation of what a reader wants to know first.
        tables: Shown open below the guards, by the id of the element; empty ones are left out.
        details: Shown folded at the end; empty ones are left out.
        plots: PNG by title.
        sample: Exchanges to show.
        failed: Wrong answers to show.
        n_failed: How many wrong answers there are in all.
        config_text: The configuration that was used, as YAML.
    """
    environment = Environment(
        loader=PackageLoader("pipeline.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.finalize = _shown
    return environment.get_template("report.html.j2").render(
        report=report,
        cards=cards,
        tables={"guards": guards_table(report), **{name: table for name, table in tables.items() if table.rows}},
        details=[table for table in details if table.rows],
        plots=[(title, base64.b64encode(data).decode()) for title, data in plots.items()],
        sample=sample,
        failed=failed,
        n_failed=n_failed,
        config_text=config_text,
        total=duration(sum(report.timings.values())),
    )
