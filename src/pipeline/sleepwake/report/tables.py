"""The rows of every table of a sleep–wake report, as text; shares in per cent."""

from __future__ import annotations

from pipeline.columns.report.tables import percent, points
from pipeline.report.figures import NOT_MEASURED, Table, memory, number
from pipeline.sleepwake.controls import ABOUT
from pipeline.sleepwake.measures import NAMES
from pipeline.sleepwake.report.schema import SleepWakeReport


def cards(report: SleepWakeReport) -> list[tuple[str, str, str]]:
    """(title, figure, explanation) of what a reader wants to know first."""
    told = report.sleep
    low, high = told.recall_after_ci95
    shown = [
        (
            "Recall after one sleep",
            f"{percent(told.recall_after)} %",
            f"of {told.facts:,} facts, from the weights alone",
        ),
        ("Before", f"{percent(told.recall_before)} %", f"after it {percent(low)} to {percent(high)}"),
        ("Base text", f"{points(report.drift.base)} %", "change of nats a byte by that sleep"),
        ("Byte model", f"{report.byte_lm.nats:.3f}", "nats a byte of validation text"),
        ("Memory", f"{points(report.memory.gain)} points", "recall in streams, against the window alone"),
    ]
    if report.retention:
        passed = list(report.retention)[-1]
        shown.insert(2, ("Retention", f"{percent(report.retention[passed])} %", f"after {passed} more days and sleeps"))
    if "no_sleep" in report.controls:
        shown.append(("Without a sleep", f"{percent(report.controls['no_sleep']['recall'])} %", ABOUT["no_sleep"]))
    return shown


def recall_table(report: SleepWakeReport) -> Table:
    """Recall from the weights alone: before, after, and while days pass."""
    rows = [
        ("before any sleep", percent(report.sleep.recall_before)),
        ("after the first sleep", percent(report.sleep.recall_after)),
        *((f"… {kind}", percent(value)) for kind, value in report.sleep.by_kind.items()),
        *((f"after {passed} more cycles", percent(value)) for passed, value in report.retention.items()),
        *((f"facts of cycle {cycle}, right after it", percent(value)) for cycle, value in report.own_recall.items()),
        *((f"changed values: {name}", percent(value)) for name, value in report.interference.items()),
        ("never told: answered with another key's value", percent(report.unseen.answers_of_others)),
    ]
    return Table("Facts answered from the weights alone (%)", ("when", "right"), tuple(rows))


def gap_table(report: SleepWakeReport) -> Table:
    """Recall by sessions between telling and asking."""
    rows = tuple(
        (
            gap,
            percent(told.with_sleep),
            percent(told.without),
            f"{points(told.gain)} ({points(told.interval[0])} to {points(told.interval[1])})",
        )
        for gap, told in report.gap.items()
    )
    columns = ("sessions", "with a sleep", "without", "gain (points, 95 %)")
    return Table("Recall after sessions of text (%)", columns, rows)


def controls_table(report: SleepWakeReport) -> Table:
    """Every control with its figures."""
    rows = []
    for name, told in report.controls.items():
        figures = [(key, value) for key, value in told.items() if isinstance(value, int | float)]
        figures += [(f"retention {passed}", value) for passed, value in told.get("retention", {}).items()]
        rows.append((name, ABOUT[name], ", ".join(f"{key.replace('_', ' ')} {value:.4g}" for key, value in figures)))
    return Table("Controls", ("control", "what it is", "figures"), tuple(rows))


def arithmetic_table(report: SleepWakeReport) -> Table:
    """Held-out problems."""
    rows = tuple(
        (model, level, *(percent(shares.get(name)) for name in ("all", *NAMES.values())))
        for model, levels in report.arithmetic.items()
        for level, shares in levels.items()
    )
    return Table("Arithmetic, held-out expressions (%)", ("model", "level", "all", *NAMES.values()), rows)


def other_table(report: SleepWakeReport) -> Table:
    """Everything else that was measured, one figure a row."""
    told = report.sleep
    rows = [
        ("parameters", number(report.parameters)),
        ("byte_lm.nats_test", number(report.byte_lm.nats_test)),
        ("byte_lm.nats_memory", number(report.byte_lm.nats_memory)),
        ("patcher.threshold", number(report.patcher.threshold)),
        ("patcher.mean_patch", number(report.patcher.mean_patch)),
        ("patcher.at_spaces", percent(report.patcher.at_spaces) + " %"),
        ("memory.with_after_sleeps", percent(report.memory.with_after_sleeps) + " %"),
        *(
            (
                f"passkey.{length}",
                f"{percent(shares.with_memory)} % with the memory, {percent(shares.without)} % without",
            )
            for length, shares in report.passkey.items()
        ),
        ("svf.identity_error", f"{report.svf.identity_error:.2g}"),
        ("wake.memories", number(report.wake.memories)),
        ("wake.event_rate", percent(report.wake.event_rate) + " %"),
        ("sleep.selected", number(told.selected)),
        ("sleep.left", number(told.left)),
        ("sleep.efficiency", percent(told.efficiency) + " %"),
        ("sleep.importance_consolidated", number(told.importance_consolidated)),
        ("sleep.teacher_right", percent(told.teacher_right) + " %"),
        ("sleep.steps", number(told.steps)),
        ("sleep.rollbacks", number(told.rollbacks)),
        ("sleep.kept_share", number(told.kept_share)),
        ("sleep.stopped", told.stopped or NOT_MEASURED),
        *((f"sleep.weight_change.{module}", number(value)) for module, value in told.weight_change.items()),
        ("drift.bits", f"{report.drift.bits:+.4f}"),
        ("drift.last", f"{points(report.drift.last)} %"),
        ("unseen.confidence", number(report.unseen.confidence)),
        ("unseen.confidence_told", number(report.unseen.confidence_told)),
        *(
            (f"parts.{name}.{key}", number(value))
            for name, figures in report.parts.items()
            for key, value in figures.items()
        ),
        ("peak_memory_bytes", memory(report.peak_memory_bytes)),
        *([("device", report.device)] if report.device else []),
    ]
    return Table("Other figures", ("figure", "value"), tuple(rows))
