"""What a terminal shows of a finished run: each flow has its own tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.markup import escape

from pipeline.terminal import Console

if TYPE_CHECKING:
    from pipeline.artifacts import RunFolder
    from pipeline.config import FlowConfig
    from pipeline.report.base import RunReport
    from pipeline.report.figures import Table


@dataclass(frozen=True)
class FlowView:
    """How one flow is shown.

    Attributes:
        about: What is learned, from the configuration, in a few words.
        tables: Prints its figures.
        next: Prints commands that work right now.
    """

    about: Callable[[FlowConfig], str]
    tables: Callable[[Console, RunReport], None]
    next: Callable[[Console, RunFolder, RunReport], None]


def view_of(flow: str) -> FlowView:
    """The view of a flow."""
    return _VIEWS[flow]


def show_report(console: Console, run: RunFolder) -> RunReport:
    """Print a run's figures, guards and notes; returns its report."""
    from pipeline.report.flows import load_any_report
    from pipeline.report.terminal import verdict_table

    report = load_any_report(run.path)
    view_of(report.flow).tables(console, report)
    console.print(verdict_table(report))
    for note in report.notes:
        console.print(f"[dim]note: {escape(note)}[/dim]", highlight=False)
    return report


def _consolidation_about(config: FlowConfig) -> str:
    from pipeline.config import ConsolidationConfig

    assert isinstance(config, ConsolidationConfig)
    return f"model {config.model.name}, suite {config.suite.name}"


def _consolidation_tables(console: Console, report: RunReport) -> None:
    from pipeline.cli.tables import arms_summary, figures_summary
    from pipeline.report.schema import Report

    assert isinstance(report, Report)
    console.print(arms_summary(report, console.width))
    console.print(figures_summary(report))


def _consolidation_next(console: Console, run: RunFolder, report: RunReport) -> None:
    """Questions to the adapter, with one of the suite."""
    from pipeline.stages.suite_files import example_question

    adapter = "champion" if report.promoted else run.run_id
    example = example_question(run)
    if example is None:
        return
    ask = f'engram ask "{example.question}"'
    commands = [f"{ask} --memory off --adapter {adapter}", f"{ask} --memory off --adapter none"]
    commands += [f"{ask} --memory on --adapter none", f"engram export {run.run_id} DIR"]
    console.print(f"\n[bold]Try it yourself[/bold] [dim](the right answer is: {escape(example.answer)})[/dim]")
    for command in commands:
        console.print(f"  {escape(command)}", soft_wrap=True, highlight=False)


def _columns_about(config: FlowConfig) -> str:
    from pipeline.config import ColumnsConfig

    assert isinstance(config, ColumnsConfig)
    return f"{len(config.tasks)} tasks, {config.masking.soft_columns.total_columns} columns"


def _columns_tables(console: Console, report: RunReport) -> None:
    from pipeline.columns.report.schema import ColumnsReport
    from pipeline.columns.report.terminal import accuracy_summary, controls_summary

    assert isinstance(report, ColumnsReport)
    console.print(accuracy_summary(report, console.width))
    controls = controls_summary(report)
    if controls is not None:
        console.print(controls)


def _columns_next(console: Console, run: RunFolder, report: RunReport) -> None:
    """Nothing to ask: the tests were the examination."""


def _print_tables(console: Console, report: RunReport, first: Table, *others: Table) -> None:
    """The verdict over the first table, and the others that have rows."""
    from pipeline.report.terminal import rich_table

    promoted = "promoted to champion" if report.promoted else "not promoted"
    console.print(rich_table(first, f"{report.flow}/{report.deployment} {report.run_id}: {promoted}"))
    for table in others:
        if table.rows:
            console.print(rich_table(table))


def _plasticity_about(config: FlowConfig) -> str:
    from pipeline.config import PlasticityConfig

    assert isinstance(config, PlasticityConfig)
    if config.learner == "competitive":
        return f"{config.stream.dataset} in one pass, {config.unsupervised.neurons} neurons, STDP alone, no sleep"
    tasks = f"{config.stream.tasks} task" + ("s" if config.stream.tasks > 1 else "")
    return f"{tasks} of {config.stream.dataset}, {config.model.replay_buffer_size} images kept"


def _plasticity_tables(console: Console, report: RunReport) -> None:
    from pipeline.plasticity.report.schema import PlasticityReport
    from pipeline.plasticity.report.tables import ablations_table, accuracy_table, baselines_table

    assert isinstance(report, PlasticityReport)
    _print_tables(console, report, accuracy_table(report), baselines_table(report), ablations_table(report))


def _needle_about(config: FlowConfig) -> str:
    from pipeline.config import NeedleConfig

    assert isinstance(config, NeedleConfig)
    held = f", {config.data.n_pairs} pairs" if config.data.blocks else ""
    return f"{config.data.task} of {config.data.length} tokens{held}, {config.emma.writes} writes"


def _needle_tables(console: Console, report: RunReport) -> None:
    from pipeline.needle.report.schema import NeedleReport
    from pipeline.needle.report.tables import accuracy_table, controls_table, sweep_table

    assert isinstance(report, NeedleReport)
    _print_tables(console, report, accuracy_table(report), controls_table(report), sweep_table(report))


def _sleepwake_about(config: FlowConfig) -> str:
    from pipeline.config import SleepWakeConfig

    assert isinstance(config, SleepWakeConfig)
    told = config.episodes
    return f"{told.cycles} days of {told.facts} facts, a byte model of {config.model.layers} × {config.model.width}"


def _sleepwake_tables(console: Console, report: RunReport) -> None:
    from pipeline.sleepwake.report.schema import SleepWakeReport
    from pipeline.sleepwake.report.tables import controls_table, gap_table, recall_table

    assert isinstance(report, SleepWakeReport)
    _print_tables(console, report, recall_table(report), gap_table(report), controls_table(report))


_VIEWS = {
    "consolidation": FlowView(_consolidation_about, _consolidation_tables, _consolidation_next),
    "columns": FlowView(_columns_about, _columns_tables, _columns_next),
    "plasticity": FlowView(_plasticity_about, _plasticity_tables, _columns_next),
    "needle": FlowView(_needle_about, _needle_tables, _columns_next),
    "sleepwake": FlowView(_sleepwake_about, _sleepwake_tables, _columns_next),
}
