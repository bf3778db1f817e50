"""Write ``report.json``, ``report.md``, ``report.html`` and ``plots/*.png`` into a run folder."""

from __future__ import annotations

from pathlib import Path

from pipeline.report.figures import stages_table
from pipeline.report.markdown import render_markdown
from pipeline.report.page import render_page
from pipeline.report.write import write_files
from pipeline.sleepwake.report.plots import PLOTS, Courses, draw
from pipeline.sleepwake.report.schema import SleepWakeReport
from pipeline.sleepwake.report.tables import (
    arithmetic_table,
    cards,
    controls_table,
    gap_table,
    other_table,
    recall_table,
)


def write_sleepwake_report(
    folder: Path, report: SleepWakeReport, courses: Courses, config_text: str = ""
) -> list[Path]:
    """Write every form of the report, each file atomically.

    Args:
        folder: The run folder.
        report: The figures.
        courses: What plots show beside them.
        config_text: The configuration that was used, as YAML.

    Returns:
        The paths of all files, ``report.json`` first.

    Raises:
        ArtifactError: A file cannot be written.
    """
    plots = draw(report, courses)
    found = {
        "recall": recall_table(report),
        "gap": gap_table(report),
        "controls": controls_table(report),
        "arithmetic": arithmetic_table(report),
    }
    tables = {name: table for name, table in found.items() if table.rows}
    headline, details = cards(report), [other_table(report), stages_table(report)]
    text = render_markdown(report, headline, tables.values(), details, plots)
    titled = {PLOTS[name][0]: data for name, data in plots.items()}
    html = render_page(report, headline, tables, details, titled, config_text=config_text)
    return write_files(folder, report, text, html, plots)
