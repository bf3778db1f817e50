"""Write ``report.json``, ``report.md``, ``report.html`` and ``plots/*.png`` of a column network into a run folder.

write_columns_report(run.path, build_columns_report(…), rasters, config_text)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.columns.report.plots import PLOTS, Rasters, draw
from pipeline.columns.report.schema import ColumnsReport
from pipeline.columns.report.tables import (
    accuracy_table,
    cards,
    changes_table,
    controls_table,
    masks_table,
    occupancy_table,
    other_table,
    sleep_table,
)
from pipeline.report.figures import Table
from pipeline.report.write import write_tables


def write_columns_report(
    folder: Path, report: ColumnsReport, rasters: Rasters | None = None, config_text: str = ""
) -> list[Path]:
    """Write every form of the report, each file atomically.

    Args:
        folder: The run folder.
        report: The figures.
        rasters: Spikes of one image by task, zeros and ones of shape (time steps, neurons).
        config_text: The configuration that was used, as YAML.

    Returns:
        The paths of all files, ``report.json`` first.

    Raises:
        ArtifactError: A file cannot be written, or a raster is not binary.
    """
    plots, titles = draw(report, rasters), {name: told[0] for name, told in PLOTS.items()}
    shown, folded = shown_tables(report), folded_tables(report)
    return write_tables(folder, report, cards(report), shown, folded, plots, titles, config_text)


def shown_tables(report: ColumnsReport) -> dict[str, Table]:
    """What a reader sees at once, by the id of the element."""
    tables = {"accuracy": accuracy_table(report), "sleep": sleep_table(report), "controls": controls_table(report)}
    return {name: table for name, table in tables.items() if table.rows}


def folded_tables(report: ColumnsReport) -> Sequence[Table]:
    """What a reader may unfold, but for the times of stages."""
    return [table(report) for table in (changes_table, masks_table, occupancy_table, other_table)]
