"""The rows of every table of a needle report, as text; accuracies in per cent."""

from __future__ import annotations

from pipeline.columns.report.tables import percent
from pipeline.needle.controls import ABOUT
from pipeline.needle.report.schema import NeedleReport, OverSeeds
from pipeline.report.figures import NOT_MEASURED, Table, interval, memory, number


def cards(report: NeedleReport) -> list[tuple[str, str, str]]:
    """(title, figure, explanation) of what a reader wants to know first."""
    low, high = report.accuracy.ci95
    shown = [
        (
            "Accuracy",
            f"{percent(report.accuracy.test)} %",
            f"of {report.questions:,} test questions, {percent(low)} to {percent(high)}, {report.writes} writes",
        ),
        ("Chance", f"{percent(report.chance)} %", "of a guess"),
        ("Write cosine", number(report.cosine.write), "written with true values"),
        ("Clean read cosine", number(report.cosine.read_clean), "cleaned reads with true values"),
        ("Collisions", number(report.collisions), "share of writes to a bucket in use"),
        ("Gate open", percent(report.gate.open_fraction) + " %", f"of epochs, λ up to {report.gate.lambda_max:.4g}"),
    ]
    if report.writes == "learned":
        told = f"recall {number(report.written.recall)}"
        shown.append(("Write precision", number(report.written.precision), f"of needles' positions, {told}"))
    return shown


def accuracy_table(report: NeedleReport) -> Table:
    """Accuracy by length and by number of needles."""
    rows = [("test", percent(report.accuracy.test))]
    rows += [(f"length {length}", percent(value)) for length, value in report.accuracy.by_length.items()]
    rows += [
        (f"{load} needle{'s' if load != '1' else ''}", percent(value))
        for load, value in report.accuracy.by_load.items()
    ]
    return Table("Accuracy (%, test questions)", ("sequences", "right"), tuple(rows))


def controls_table(report: NeedleReport) -> Table:
    """Every control with its details."""
    rows = []
    for name, value in report.controls.items():
        details = report.control_details[name]
        told = ", ".join(f"{key.replace('_', ' ')} {_figure(figure)}" for key, figure in details.items())
        rows.append((name, ABOUT[name], percent(value), told or NOT_MEASURED))
    rows.sort(key=lambda row: list(ABOUT).index(row[0]))
    title = f"Controls (%, chance {percent(report.chance)}, the model {percent(report.accuracy.test)})"
    return Table(title, ("control", "what it is", "right", "details"), tuple(rows))


def _figure(value: float | None) -> str:
    if value is None:
        return NOT_MEASURED
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def sweep_table(report: NeedleReport) -> Table:
    """One row a variant, means over seeds."""
    figures = ("accuracy", "cosine_read_clean", "cosine_write", "collisions", "open_fraction", "lambda_max")
    rows = [
        (name, *(_spread(found.get(figure)) for figure in figures), str(found["accuracy"].n))
        for name, found in report.sweep.items()
    ]
    columns = ("variant", "accuracy", "clean read", "write", "collisions", "gate open", "largest λ", "seeds")
    return Table("Sweep (means over seeds, 95 %)", columns, tuple(rows))


def _spread(told: OverSeeds | None) -> str:
    if told is None:
        return NOT_MEASURED
    return f"{told.mean:.3f}" if told.interval is None else f"{told.mean:.3f} ± {told.interval[1] - told.mean:.3f}"


def capacity_table(report: NeedleReport) -> Table:
    """The memory alone."""
    rows = tuple(
        (pairs, percent(told.accuracy), number(told.read_cosine), number(told.theory))
        for pairs, told in report.capacity.items()
    )
    return Table("The memory alone: pairs in one bucket", ("pairs", "right (%)", "raw cosine", "1/√n"), rows)


def other_table(report: NeedleReport) -> Table:
    """Everything else that was measured, one figure a row."""
    rows = [
        ("cosine.read_raw", number(report.cosine.read_raw)),
        ("majority", percent(report.majority) + " %"),
        ("written.precision", number(report.written.precision)),
        ("written.recall", number(report.written.recall)),
        ("written.per_sequence", number(report.written.per_sequence)),
        ("gate.opened_epoch", number(report.gate.opened_epoch)),
        *((f"training.{name}", _text(value)) for name, value in report.training.model_dump().items()),
        *((f"read_cosine_by_load.{load}", number(value)) for load, value in report.read_cosine_by_load.items()),
        ("peak_memory_bytes", memory(report.peak_memory_bytes)),
        *([("device", report.device)] if report.device else []),
    ]
    if told := report.drop:
        change = f"{told.difference:+.4f} ({interval(told.ci95)}), {told.lost} lost, {told.won} won"
        rows.append(("drop since the gate opened", f"{change}, p {told.p_value:.2g}, n {told.examples}"))
    return Table("Other figures", ("figure", "value"), tuple(rows))


def _text(value: float | str | None) -> str:
    if isinstance(value, str):
        return value or NOT_MEASURED
    return number(round(value)) if value is not None and value > 1000 else number(value)
