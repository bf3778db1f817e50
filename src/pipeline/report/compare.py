"""What differs between runs: configuration, data, figures and answers; what is equal is left out.

comparison = compare([path_a, path_b])
for table in comparison_tables(comparison): console.print(table)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table as RichTable

from pipeline.artifacts import read_json, read_table
from pipeline.config.yaml_tree import read_yaml
from pipeline.errors import ArtifactError, ConfigError
from pipeline.evaluation.answers import SCHEMA_NAME
from pipeline.evaluation.arms import ARMS
from pipeline.evaluation.selection import fixed_subset
from pipeline.report.base import RunReport
from pipeline.report.figures import Table
from pipeline.report.flows import load_any_report
from pipeline.report.plots import new_axes
from pipeline.report.schema import Report
from pipeline.report.terminal import rich_table

NEVER_THE_SAME = ("run_id", "started", "finished", "timings.", "peak_memory_bytes", "workers.")
TOO_FINE = (".by_form.", ".by_relation.", ".em_ci95")
_ABSENT = "(absent)"

Rows = tuple[tuple[str, tuple[str, ...]], ...]  # (name, one text per run)


@dataclass(frozen=True)
class AnswerChange:
    """One prompt that two runs answer differently."""

    arm: str
    item_id: str
    form: str
    gold: str
    answers: tuple[str, str]


@dataclass(frozen=True)
class AnswerDifferences:
    """Answers of a later run against those of the first: common questions, how many differ, and a few of those."""

    run_id: str
    common: int
    different: int
    examples: tuple[AnswerChange, ...]


@dataclass(frozen=True)
class Comparison:
    """All that differs between runs, in the order in which they were named."""

    reports: tuple[RunReport, ...]
    config: Rows
    data: Rows
    figures: Rows
    answers: tuple[AnswerDifferences, ...]


def compare(runs: Sequence[Path], examples: int = 10) -> Comparison:
    """Compare finished runs.

    Args:
        runs: Two or more run folders.
        examples: Answers to show for each later run, chosen by hash.

    Raises:
        ArtifactError: Fewer than two runs, or a file of a run is missing or damaged.
    """
    if len(runs) < 2:
        raise ArtifactError(f"compare needs two or more runs, found {len(runs)}")
    reports = tuple(load_any_report(run) for run in runs)
    first, *others = (_answers(run, report) for run, report in zip(runs, reports, strict=True))
    return Comparison(
        reports=reports,
        config=differing([flatten(_config(run)) for run in runs]),
        data=differing([_digests(run) for run in runs]),
        figures=differing([_figures(report) for report in reports]),
        answers=tuple(
            _answer_differences(report.run_id, first, other, examples)
            for report, other in zip(reports[1:], others, strict=True)
        ),
    )


def flatten(value: Any, name: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted names; lists stay values."""
    if not isinstance(value, Mapping):
        return {name: value}
    if not value and name:
        return {name: "{}"}
    return {key: v for k, part in value.items() for key, v in flatten(part, f"{name}.{k}" if name else str(k)).items()}


def differing(columns: Sequence[Mapping[str, Any]]) -> Rows:
    """The names whose values are not the same in every mapping, in order of first appearance."""
    names = dict.fromkeys(name for column in columns for name in column)
    rows = ((name, tuple(_text(column.get(name, _ABSENT)) for column in columns)) for name in names)
    return tuple((name, texts) for name, texts in rows if len(set(texts)) > 1)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _config(run: Path) -> Any:
    path = run / "config.yaml"
    try:
        return read_yaml(path).plain()
    except ConfigError as error:
        raise ArtifactError(f"{path}: cannot read the configuration ({error})") from None


def _digests(run: Path) -> dict[str, str]:
    """First digits of the digest of every file of every stage."""
    digests = {}
    for path in sorted(run.glob("*/manifest.json")):
        for file in read_json(path).get("files", []):
            digests[f"{path.parent.name}/{file['path']}"] = str(file["sha256"])[:12]
    return digests


def _figures(report: RunReport) -> dict[str, Any]:
    values = report.to_json()
    values["guards"] = {guard.name: guard.value for guard in report.guards}
    return {
        name: value
        for name, value in flatten(values).items()
        if not name.startswith(NEVER_THE_SAME) and not any(part in f"{name}." for part in TOO_FINE)
    }


def _answers(run: Path, report: RunReport) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    """A language model's answers by arm, item, relation and form; other flows have no answers in words."""
    path = run / "evaluate" / "answers.parquet"
    asked = isinstance(report, Report) and path.exists()
    rows = read_table(path, SCHEMA_NAME).to_pylist() if asked else []
    return {(row["arm"], row["item_id"], row["relation"], row["form"]): row for row in rows}


def _answer_differences(
    run_id: str, first: Mapping[Any, dict[str, Any]], other: Mapping[Any, dict[str, Any]], n: int
) -> AnswerDifferences:
    common = [key for key in first if key in other]
    changed = [key for key in common if first[key]["answer"] != other[key]["answer"]]
    shown = [
        AnswerChange(key[0], key[1], key[3], first[key]["gold"], (first[key]["answer"], other[key]["answer"]))
        for key in fixed_subset(changed, n, lambda key: "\x00".join(key), salt="compare")
    ]
    return AnswerDifferences(run_id, len(common), len(changed), tuple(shown))


def comparison_tables(comparison: Comparison) -> list[RichTable]:
    """One table per kind of difference; a single line stands for runs that do not differ at all."""
    ids = tuple(report.run_id for report in comparison.reports)
    sections = (("Configuration", comparison.config), ("Data", comparison.data), ("Figures", comparison.figures))
    tables = [
        rich_table(Table(title, ("name", *ids), tuple((name, *texts) for name, texts in rows)))
        for title, rows in sections
        if rows
    ]
    for changes in comparison.answers:
        if changes.different:
            title = f"Answers: {changes.different} of {changes.common} differ"
            rows = tuple((c.arm, c.item_id, c.form, c.gold, *c.answers) for c in changes.examples)
            tables.append(rich_table(Table(title, ("arm", "item", "form", "gold", ids[0], changes.run_id), rows)))
    return tables or [rich_table(Table("No differences", ("runs",), tuple((run,) for run in ids)))]


def comparison_plot(reports: Sequence[Report]) -> Figure:
    """EM with 95 % interval of every arm that all runs have, run beside run."""
    arms = [arm for arm in ARMS if all(arm in report.arms for report in reports)]
    figure, axes = new_axes("Exact match by arm", height=1.2 + 0.2 * len(arms) * (len(reports) + 0.5))
    height = 0.8 / len(reports)
    for i, report in enumerate(reports):
        figures = [report.arms[arm] for arm in arms]
        rows = [row + (i - (len(reports) - 1) / 2) * height for row in range(len(arms))]
        bounds = [f.em_ci95 or (f.em, f.em) for f in figures]
        spread = [
            [max(0.0, f.em - low) for f, (low, _) in zip(figures, bounds, strict=True)],
            [max(0.0, high - f.em) for f, (_, high) in zip(figures, bounds, strict=True)],
        ]
        axes.barh(rows, [f.em for f in figures], height=height, label=report.run_id)
        axes.errorbar([f.em for f in figures], rows, xerr=spread, fmt="none", color="black", linewidth=0.8)
    axes.set(xlim=(0, 1.05), xlabel="EM", yticks=range(len(arms)), yticklabels=arms)
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.legend(frameon=False, fontsize=8)
    return figure
