"""Write ``report.json``, ``report.md``, ``report.html`` and ``plots/*.png`` into a run folder."""

from __future__ import annotations

from pathlib import Path

from pipeline.plasticity.report.plots import PLOTS, Learned, draw
from pipeline.plasticity.report.schema import PlasticityReport
from pipeline.plasticity.report.tables import ablations_table, accuracy_table, baselines_table, cards, other_table
from pipeline.report.figures import stages_table
from pipeline.report.markdown import render_markdown
from pipeline.report.page import render_page
from pipeline.report.write import write_files


def write_plasticity_report(
    folder: Path, report: PlasticityReport, learned: Learned, config_text: str = ""
) -> list[Path]:
    """Write every form of the report, each file atomically.

    Args:
        folder: The run folder.
        report: The figures.
        learned: What plots show beside them.
        config_text: The configuration that was used, as YAML.

    Returns:
        The paths of all files, ``report.json`` first.

    Raises:
        ArtifactError: A file cannot be written.
    """
    plots = draw(report, learned)
    found = {
        "accuracy": accuracy_table(report),
        "baselines": baselines_table(report),
        "ablations": ablations_table(report),
    }
    tables = {name: table for name, table in found.items() if table.rows}
    headline, details = cards(report), [other_table(report), stages_table(report)]
    text = render_markdown(report, headline, tables.values(), details, plots)
    titled = {PLOTS[name][0]: data for name, data in plots.items()}
    html = render_page(report, headline, tables, details, titled, config_text=config_text)
    return write_files(folder, report, text, html, plots)
