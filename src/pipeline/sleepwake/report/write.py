"""Write ``report.json``, ``report.md``, ``report.html`` and ``plots/*.png`` into a run folder."""

from __future__ import annotations

from pathlib import Path

from pipeline.report.write import write_tables
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
    shown = {
        "recall": recall_table(report),
        "gap": gap_table(report),
        "controls": controls_table(report),
        "arithmetic": arithmetic_table(report),
    }
    folded, titles = [other_table(report)], {name: told[0] for name, told in PLOTS.items()}
    return write_tables(folder, report, cards(report), shown, folded, plots, titles, config_text)
