"""The rows of every table of a column network's report, as text; accuracies in percent, changes in points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from pipeline.columns.report.schema import AFTER, BEFORE, ColumnsReport, Delta
from pipeline.report.figures import NOT_MEASURED, Table, memory, number

CONTROLS = {
    "direct_er": "primes learned in their parents' columns from replay and labels",
    "relabel": "the same sleep with true labels in the teacher's place",
    "override_without_sleep": "primes asked as their parents, nobody slept",
    "block_order": "the same sleep, in every epoch one task's batches after the other's",
    "task_by_task": "the same sleep, all epochs of one task before the next",
    "shared_column": "no masks: all tasks in one column, one after the other",
    "separate_columns": "upper bound: a network of its own for every task",
    "joint": "upper bound: all tasks at once, all images, with labels",
    "no_replay": "sleep replays the primes alone, nothing of their parents",
    "silent_spikes": "after sleep no neuron fires",
    "shuffled_spikes": "after sleep, spikes of another image",
    "temperature_1": "the same sleep at temperature 1",
    "not_spiking": "day and night with rectified currents in place of spikes",
}
"""One line about every control of `pipeline.columns.controls`, in the order of the tables."""

_ASKED = (BEFORE, AFTER)
_MOST_STAGES = 14


def percent(share: float | None) -> str:
    """``98.1``, or a dash."""
    return NOT_MEASURED if share is None else f"{round(100 * share, 1) + 0.0:.1f}"


def points(change: float | None) -> str:
    """``+1.2`` percentage points, or a dash."""
    return NOT_MEASURED if change is None else f"{round(100 * change, 1) + 0.0:+.1f}"


def stage_title(stage: str) -> str:
    """A stage in short: the task that was just learned, a nap, ``before sleep`` or ``after sleep``."""
    if stage.startswith("after_nap_"):
        return f"nap after {stage.removeprefix('after_nap_')}"
    return stage.replace("_", " ") if stage in _ASKED else stage.removeprefix("after_")


def mean_accuracy(scores: Mapping[str, float]) -> float:
    """Mean over tasks, each counting alike."""
    return fmean(scores.values())


def cards(report: ColumnsReport) -> list[tuple[str, str, str]]:
    """(title, figure, explanation) of what a reader wants to know first."""
    before, after = report.accuracy[BEFORE], report.accuracy[AFTER]
    worst = min(after, key=lambda task: after[task])
    shown = [
        ("Accuracy after sleep", f"{percent(mean_accuracy(after))} %", f"mean of {len(after)} tasks, test images"),
        ("Worst task", f"{percent(after[worst])} %", f"{worst}, after sleep"),
    ]
    learned = {task: report.accuracy.get(f"after_{task}", {}).get(task) for task in after}
    drops = {task: score - before[task] for task, score in learned.items() if score is not None}
    if drops:
        task = max(drops, key=lambda name: drops[name])
        shown.append(("Largest drop by day", f"{percent(drops[task])} points", f"{task}, from learned to before sleep"))
    through = mean_accuracy(before) - mean_accuracy(after)
    shown.append(("Drop through sleep", f"{percent(through)} points", f"mean, from {percent(mean_accuracy(before))} %"))
    if "direct_er" in report.control_gains:
        gain = gain_over(report, "direct_er")
        shown.append(("Gain over direct_er", f"{gain} points", CONTROLS["direct_er"]))
    shown.append(("Spike rate", number(report.spike_rate), "spikes a neuron and step"))
    return shown


def told_stages(report: ColumnsReport) -> list[str]:
    """Stages that a table has room for: all, or those around sleep if they are many."""
    if len(report.accuracy) <= _MOST_STAGES:
        return list(report.accuracy)
    return [stage for stage in report.accuracy if stage.startswith("after_nap_") or stage in _ASKED]


def accuracy_table(report: ColumnsReport, stages: Sequence[str] | None = None) -> Table:
    """One row per task, one column per stage; ``stages`` chooses among them."""
    chosen = told_stages(report) if stages is None else stages
    rows = [(task, *(percent(report.accuracy[stage].get(task)) for stage in chosen)) for task in report.tasks]
    means = [percent(mean_accuracy(report.accuracy[stage])) for stage in chosen]
    columns = ("task", *(stage_title(stage) for stage in chosen))
    return Table("Accuracy after each task and around sleep (%, test images)", columns, (*rows, ("mean", *means)))


def sleep_table(report: ColumnsReport) -> Table:
    """What sleep did to each task: accuracy, errors that stayed, activity."""
    rows = []
    for task in report.tasks:
        before, after = report.accuracy[BEFORE][task], report.accuracy[AFTER][task]
        errors = report.overlap[task]
        overlaps = (number(errors.kept, 2), number(errors.jaccard, 2), number(errors.agreement, 3))
        spikes = number(round(report.spiking[task].spikes))
        asked = report.asked_as[task]
        rows.append((task, asked, percent(before), percent(after), percent(before - after), *overlaps, spikes))
    errors_of_sleep = ("kept errors", "Jaccard", "agreement", "spikes per image")
    columns = ("task", "asked as", "before", "after", "drop", *errors_of_sleep)
    return Table("Sleep (%, drop in points)", columns, tuple(rows))


def control_names(report: ColumnsReport) -> list[str]:
    """The controls that were run, in the order of `CONTROLS`; unknown ones last."""
    return [name for name in CONTROLS if name in report.controls] + [n for n in report.controls if n not in CONTROLS]


def controls_table(report: ColumnsReport, by_task: bool = True) -> Table:
    """Every control with its accuracy by task, their mean, and what sleep gains over it."""
    tasks = report.tasks if by_task else []
    rows = []
    for name in control_names(report):
        scores = report.controls[name]
        own = [percent(scores[task]) for task in tasks]
        mean, gain = percent(mean_accuracy(scores)), gain_over(report, name)
        rows.append((name, CONTROLS.get(name, ""), *own, mean, gain))
    columns = ("control", "what it is", *tasks, "mean", "after sleep minus it")
    return Table("Controls (%, paired difference in points with its 95 % interval)", columns, tuple(rows))


def gain_over(report: ColumnsReport, control: str) -> str:
    """``+1.2 ± 0.3`` percentage points: what sleep gains over a control, with its interval over images."""
    low, high = report.control_intervals[control]
    return f"{points(report.control_gains[control])} ± {50 * (high - low):.1f}"


def changes_table(report: ColumnsReport) -> Table:
    """Change of every task at every stage against the stage before and the best earlier one."""
    stages = [stage for stage in told_stages(report) if stage in report.deltas]
    rows = [(task, *(_change(report.deltas[s].get(task, Delta())) for s in stages)) for task in report.tasks]
    columns = ("task", *(stage_title(stage) for stage in stages))
    return Table("Change against the stage before / the best one (points)", columns, tuple(rows))


def _change(delta: Delta) -> str:
    if delta.previous is None and delta.best is None:
        return NOT_MEASURED
    return f"{points(delta.previous)} / {points(delta.best)}"


def masks_table(report: ColumnsReport) -> Table:
    """The strongest column of every mask, counted from 0, its weight, and the mask's entropy."""
    rows = []
    for task in report.tasks:
        cells = []
        for stage in _ASKED:
            mask = report.masks[stage][task]
            strongest = max(range(len(mask)), key=lambda column: mask[column])
            cells += [str(strongest), number(mask[strongest], 2), number(report.mask_entropy[stage][task] + 0.0)]
        rows.append((task, *cells))
    columns = [f"{title} {side}" for side in ("before", "after") for title in ("column", "weight", "entropy")]
    return Table("Masks before and after sleep (entropy in nats)", ("task", *columns), tuple(rows))


def occupancy_table(report: ColumnsReport) -> Table:
    """Mean mask over the tasks of a bank, column by column."""
    banks = dict.fromkeys(bank for stage in _ASKED for bank in report.occupancy[stage])
    rows = [(bank, *(_weights(report.occupancy[stage].get(bank)) for stage in _ASKED)) for bank in banks]
    return Table("Occupancy by column of a bank", ("bank", *map(stage_title, _ASKED)), tuple(rows))


def _weights(mask: Sequence[float] | None) -> str:
    return ", ".join(number(weight, 2) for weight in mask) if mask else NOT_MEASURED


def other_table(report: ColumnsReport) -> Table:
    """Everything else that was measured, one figure a row."""
    replay, steps = report.replay, report.steps
    rows = [
        ("spike_rate", number(report.spike_rate)),
        ("backward_transfer", f"{points(report.backward_transfer)} points"),
        ("replay.budget", "all images" if replay.budget is None else f"{number(replay.budget)} images a task"),
        ("replay.samples", number(replay.samples)),
        ("replay.bytes", number(replay.bytes)),
        ("steps.wake", number(steps.wake)),
        ("steps.sleep", number(steps.sleep)),
    ]
    for task, found in report.spiking.items():
        rows.append((f"spiking.{task}.rate", number(found.rate)))
        rows.append((f"spiking.{task}.synaptic_operations", number(round(found.synaptic_operations))))
        rows.append((f"spiking.{task}.energy", f"{found.energy:.0f} nJ"))
    rows.append(("peak_memory_bytes", memory(report.peak_memory_bytes)))
    return Table("Other figures", ("figure", "value"), tuple(rows))
