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
from pipeline.report.write import write_tables


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
    shown = {
        "accuracy": accuracy_table(report),
        "controls": controls_table(report),
        "sweep": sweep_table(report),
    }
    folded, titles = [capacity_table(report), other_table(report)], {name: told[0] for name, told in PLOTS.items()}
    return write_tables(folder, report, cards(report), shown, folded, plots, titles, config_text)
