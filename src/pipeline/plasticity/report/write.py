"""Write ``report.json``, ``report.md``, ``report.html`` and ``plots/*.png`` into a run folder."""

from __future__ import annotations

from pathlib import Path

from pipeline.plasticity.report.plots import PLOTS, Learned, draw
from pipeline.plasticity.report.schema import PlasticityReport
from pipeline.plasticity.report.tables import ablations_table, accuracy_table, baselines_table, cards, other_table
from pipeline.report.write import write_tables


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
    shown = {
        "accuracy": accuracy_table(report),
        "baselines": baselines_table(report),
        "ablations": ablations_table(report),
    }
    folded, titles = [other_table(report)], {name: told[0] for name, told in PLOTS.items()}
    return write_tables(folder, report, cards(report), shown, folded, plots, titles, config_text)
