"""The rows of every table of a plasticity report, as text; accuracies in per cent, changes in points."""

from __future__ import annotations

from statistics import fmean

from pipeline.columns.report.tables import percent, points
from pipeline.plasticity.report.schema import AFTER, PlasticityReport
from pipeline.plasticity.variants import variant
from pipeline.report.figures import NOT_MEASURED, Table, memory, number


def moment_title(moment: str) -> str:
    """``task 2`` or ``after sleep``."""
    return "after sleep" if moment == AFTER else f"task {moment.removeprefix('after_')}"


def seen(report: PlasticityReport, moment: str) -> list[str]:
    """Tasks that had been learned by then."""
    return report.tasks if moment == AFTER else report.tasks[: int(moment.removeprefix("after_"))]


def cards(report: PlasticityReport) -> list[tuple[str, str, str]]:
    """(title, figure, explanation) of what a reader wants to know first."""
    last, accuracy = report.accuracy[AFTER], f"{percent(report.average_accuracy)} %"
    worst = min(last, key=lambda task: last[task])
    if len(last) > 1:
        shown = [
            ("Average accuracy", accuracy, f"of {len(last)} tasks after the last sleep"),
            ("Forgetting", f"{percent(report.forgetting)} points", "since each task was known best"),
            ("Worst task", f"{percent(last[worst])} %", f"task {worst}"),
            ("Backward transfer", f"{points(report.backward_transfer)} points", "since each task was learned"),
        ]
    else:
        shown = [("Accuracy", accuracy, "of all classes, learned as one task")]
    if report.baselines:
        best = max(report.baselines, key=lambda name: report.baselines[name].average_accuracy)
        shown.append((f"Gain over {best}", f"{_gain(report.baselines[best])} points", variant(best).about))
    shown.append(("Spike rate", f"{report.spike_rate:.2g}", "spikes a neuron and step"))
    if report.active_neurons is not None:
        shown.append(("Active neurons", number(report.active_neurons), "fire at any of 1,000 test images"))
    return shown


def accuracy_table(report: PlasticityReport) -> Table:
    """The accuracy matrix: a row a task, a column a moment, and the mean of the tasks seen by then."""
    rows = [
        (
            f"task {task}",
            *(
                percent(found[task]) if task in seen(report, m) else NOT_MEASURED
                for m, found in report.accuracy.items()
            ),
        )
        for task in report.tasks
    ]
    means = [percent(fmean(found[task] for task in seen(report, m))) for m, found in report.accuracy.items()]
    columns = ("", *(moment_title(moment) for moment in report.accuracy))
    mean = [("mean", *means)] if len(rows) > 1 else []
    return Table("Accuracy after each task and the last sleep (%, test images)", columns, (*rows, *mean))


def baselines_table(report: PlasticityReport) -> Table:
    """Rival methods, best first."""
    ranked = sorted(report.baselines, key=lambda name: -report.baselines[name].average_accuracy)
    rows = []
    for name in ranked:
        told = report.baselines[name]
        figures = (percent(told.average_accuracy), percent(told.forgetting), number(told.steps), _gain(told))
        rows.append((name, variant(name).about, *figures))
    columns = ("method", "what it is", "accuracy", "forgetting", "steps", "ours minus it")
    title = f"{baselines_title(report)} (%, 95 % interval over images)"
    return Table(title, columns, tuple(rows))


def baselines_title(report: PlasticityReport) -> str:
    """What rivals have in common with the system."""
    same = "network and memory" if report.active_neurons is None else "images and labels"
    return f"The same {same} by other methods"


def ablations_table(report: PlasticityReport) -> Table:
    """The system without a part."""
    rows = [
        (name, variant(name).about, percent(told.on), percent(told.off), _gain(told), _worth(told.interval))
        for name, told in report.ablations.items()
    ]
    columns = ("part", "what is left out", "with it", "without", "gain (points)", "worth")
    return Table("What each part is worth (%, 95 % interval over images of this seed)", columns, tuple(rows))


def _gain(told: object) -> str:
    low, high = told.interval  # type: ignore[attr-defined]
    return f"{points(told.gain)} ± {50 * (high - low):.1f}"  # type: ignore[attr-defined]


def _worth(interval: tuple[float, float]) -> str:
    return "gain" if interval[0] > 0 else "loss" if interval[1] < 0 else "no gain"


def other_table(report: PlasticityReport) -> Table:
    """Everything else that was measured, one figure a row."""
    rows = [
        *(
            []
            if report.forward_transfer is None
            else [("forward_transfer", f"{points(report.forward_transfer)} points")]
        ),
        ("spike_rate", f"{report.spike_rate:.2g}"),
        ("steps", number(report.steps)),
        ("buffer.rows", number(report.buffer.rows)),
        ("buffer.bytes", number(report.buffer.bytes)),
        *((f"buffer.by_task.{task}", number(count)) for task, count in report.buffer.by_task.items()),
        *(
            (f"plasticity.{name}.{layer}", f"{number(value)} times as configured")
            for name, by_layer in report.plasticity.items()
            for layer, value in by_layer.items()
        ),
        ("peak_memory_bytes", memory(report.peak_memory_bytes)),
    ]
    return Table("Other figures", ("figure", "value"), tuple(rows))
