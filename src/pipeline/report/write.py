"""Write ``report.json``, ``report.md``, ``report.html`` and ``plots/*.png`` into a run folder.

write_report(run.path, report, answers, question_texts(suite), NightTables(steps=…), config_text)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.artifacts import write_bytes, write_json
from pipeline.report.base import RunReport
from pipeline.report.exchanges import Key, chosen, failures, side_by_side
from pipeline.report.figures import Table, stages_table
from pipeline.report.markdown import markdown, render_markdown
from pipeline.report.page import PLOT_TITLES, page, render_page
from pipeline.report.plots import NightTables, draw
from pipeline.report.schema import Report


def write_report(
    folder: Path,
    report: Report,
    answers: pa.Table,
    questions: Mapping[Key, str],
    tables: NightTables | None = None,
    config_text: str = "",
) -> list[Path]:
    """Write every form of the report, each file atomically.

    Args:
        folder: The run folder.
        report: The figures.
        answers: `pipeline.evaluation.answers.ANSWERS_SCHEMA`; examples are chosen from it by hash.
        questions: As `pipeline.report.exchanges.question_texts` returns them.
        tables: What the plots read beside the report.
        config_text: The configuration that was used, as YAML.

    Returns:
        The paths of all files, ``report.json`` first.

    Raises:
        ArtifactError: A file cannot be written.
    """
    exchanges = side_by_side(answers, questions)
    sample, (failed, n_failed) = chosen(exchanges), failures(exchanges)
    plots = draw(report, tables or NightTables())
    text = markdown(report, sample, failed, n_failed, plots)
    return write_files(folder, report, text, page(report, plots, sample, failed, n_failed, config_text), plots)


def rewrite_pages(
    folder: Path, report: Report, answers: pa.Table, questions: Mapping[Key, str], config_text: str = ""
) -> list[Path]:
    """Write ``report.md`` and ``report.html`` anew from what is left of the answers; plots and figures stay.

    Args:
        folder: The run folder, with the plots of its report.
        report: The figures that were reported.
        answers: As of `write_report`.
        questions: As of `write_report`.
        config_text: As of `write_report`.

    Raises:
        ArtifactError: A file cannot be written.
    """
    exchanges = side_by_side(answers, questions)
    sample, (failed, n_failed) = chosen(exchanges), failures(exchanges)
    drawn = {path.stem: path.read_bytes() for path in (folder / "plots").glob("*.png")}
    plots = {name: drawn[name] for name in (*PLOT_TITLES, *sorted(drawn)) if name in drawn}
    texts = {
        "report.md": markdown(report, sample, failed, n_failed, plots),
        "report.html": page(report, plots, sample, failed, n_failed, config_text),
    }
    for name, text in texts.items():
        write_bytes(folder / name, text.encode("utf-8", "replace"))
    return [folder / name for name in texts]


def write_tables(
    folder: Path,
    report: RunReport,
    cards: Sequence[tuple[str, str, str]],
    shown: Mapping[str, Table],
    folded: Sequence[Table],
    plots: Mapping[str, bytes],
    titles: Mapping[str, str],
    config_text: str = "",
) -> list[Path]:
    """Write a report that is cards, tables and plots, each file atomically.

    Args:
        folder: The run folder.
        report: The figures.
        cards: (title, figure, explanation) of what a reader wants to know first.
        shown: What a reader sees at once, by the id of the element; empty tables are left out.
        folded: What a reader may unfold; the times of stages come behind it.
        plots: PNG by name.
        titles: Of the plots on the page, by name.
        config_text: The configuration that was used, as YAML.

    Returns:
        The paths of all files, ``report.json`` first.

    Raises:
        ArtifactError: A file cannot be written.
    """
    tables = {name: table for name, table in shown.items() if table.rows}
    details = [*folded, stages_table(report)]
    text = render_markdown(report, cards, tables.values(), details, plots)
    titled = {titles[name]: data for name, data in plots.items()}
    html = render_page(report, cards, tables, details, titled, config_text=config_text)
    return write_files(folder, report, text, html, plots)


def write_files(folder: Path, report: RunReport, text: str, html: str, plots: Mapping[str, bytes]) -> list[Path]:
    """Write any flow's report, each file atomically.

    Args:
        folder: The run folder.
        report: The figures.
        text: ``report.md``.
        html: ``report.html``.
        plots: PNG by name.

    Returns:
        The paths of all files, ``report.json`` first.

    Raises:
        ArtifactError: A file cannot be written.
    """
    files = {folder / "plots" / f"{name}.png": data for name, data in plots.items()}
    files[folder / "report.md"] = text.encode("utf-8", "replace")
    files[folder / "report.html"] = html.encode("utf-8", "replace")
    write_json(folder / "report.json", report.to_json())
    for path, data in files.items():
        write_bytes(path, data)
    return [folder / "report.json", *files]
