"""Write ``report.json``, ``report.md``, ``report.html`` and ``plots/*.png`` into a run folder."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from pipeline.needle.report.plots import PLOTS, draw
from pipeline.needle.report.schema import NeedleReport
from pipeline.needle.report.tables import (
    accuracy_table,
    capacity_table,
    cards,
    controls_table,
    other_table,
    sweep_table,
)
from pipeline.report.figures import stages_table
from pipeline.report.markdown import render_markdown
from pipeline.report.page import render_page
from pipeline.report.write import write_files


def write_needle_report(folder: Path, report: NeedleReport, epochs: pa.Table, config_text: str = "") -> list[Path]:
    """Write every form of the report, each file atomically.

    Args:
        folder: The run folder.
        report: The figures.
        epochs: Telemetry of the training, see `pipeline.needle.telemetry.epochs_table`.
        config_text: The configuration that was used, as YAML.

    Returns:
        The paths of all files, ``report.json`` first.

    Raises:
        ArtifactError: A file cannot be written.
    """
    plots = draw(report, epochs)
    found = {
        "accuracy": accuracy_table(report),
        "controls": controls_table(report),
        "sweep": sweep_table(report),
    }
    tables = {name: table for name, table in found.items() if table.rows}
    headline, details = cards(report), [capacity_table(report), other_table(report), stages_table(report)]
    text = render_markdown(report, headline, tables.values(), details, plots)
    titled = {PLOTS[name][0]: data for name, data in plots.items()}
    html = render_page(report, headline, tables, details, titled, config_text=config_text)
    return write_files(folder, report, text, html, plots)
