"""Stage ``evaluate``: test accuracy after every task and after sleep, what sleep kept, and the controls.

The one stage that reads test images. Writes ``metrics.json``; ``answers.parquet`` with every answer before and after
sleep; ``rasters.safetensors`` with spikes of one image a task. Guards are measured on validation images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from safetensors.torch import save

from pipeline.artifacts import RunFolder, StageResult
from pipeline.columns.brain import Brain, load_brain, single_thread
from pipeline.columns.controls import Night, Right, chosen_controls
from pipeline.columns.day import moments_of
from pipeline.columns.lif import spike_trains
from pipeline.columns.measures import Overlap, accuracy, mask_entropy, overlap, spiking, wrong
from pipeline.columns.stages.replayed import read_replay
from pipeline.columns.stages.sleep_distil import STATE
from pipeline.columns.stages.wake_train import snapshot
from pipeline.columns.summaries import backward_transfer, deltas, occupancy, shares
from pipeline.columns.tasks import load_tasks
from pipeline.config import ColumnsConfig
from pipeline.continual.paired import mean_difference
from pipeline.images import load_images
from pipeline.progress import Progress
from pipeline.stages.registry import opened

ANSWERS_SCHEMA = "column-answers/1"
BEFORE, AFTER = "before_sleep", "after_sleep"


def run(run: RunFolder, config: ColumnsConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``wake_train``, ``persist_store``, ``replay_sample`` and ``sleep_distil``.
        progress: Reports parts of the work.
    """
    with opened(run, config, "evaluate", inputs) as stage:
        if stage.hit:
            return stage.result
        single_thread()
        progress.phase("reading images")
        data = load_tasks(config.tasks, config.dataset, config.seed, load_images)
        names = [moment.name for moment in moments_of(config)]
        after = {name: load_brain(snapshot(inputs["wake_train"], name), config) for name in names}
        slept = load_brain(inputs["sleep_distil"].path / STATE, config)
        night = Night(config, data, read_replay(run, config, inputs), after, slept)
        progress.phase("test images")
        slept_right = night.right(slept)
        measured = measure(night, slept_right)
        controls = list(chosen_controls(config.evaluation.controls))
        progress.phase("controls", len(controls))
        right: dict[str, Right] = {}
        for name, control in controls:
            progress.note(name)
            right[name] = control(night)
            progress.advance()
        differences = {name: mean_difference(slept_right, found) for name, found in right.items()}
        measured["controls"] = {name: shares(found) for name, found in right.items()}
        measured["control_gains"] = {name: mean for name, (mean, _) in differences.items()}
        measured["control_intervals"] = {name: interval for name, (_, interval) in differences.items()}
        stage.write_json("metrics.json", measured)
        stage.write_table("answers", _answers(night), ANSWERS_SCHEMA)
        stage.write_bytes("rasters.safetensors", save(_rasters(night)))
        stage.metrics = {"accuracy": measured["accuracy"][AFTER], "control_gains": measured["control_gains"]}
    return stage.result


def measure(night: Night, slept_right: Right) -> dict[str, Any]:
    """Every figure of the night but its controls, as ``metrics.json`` holds them.

    Args:
        night: What was learned, and what sleep made of it.
        slept_right: Which test images are answered rightly after sleep.
    """
    accuracies: dict[str, dict[str, float]] = {}
    masks: dict[str, dict[str, list[float]]] = {}
    for moment in night.moments:
        brain, asked = night.after[moment.name], moment.asked_as
        accuracies[moment.name] = {task: accuracy(brain, night.data[task].test, asked[task]) for task in asked}
        masks[moment.name] = {task: brain.controller.whole_mask(asked[task]).tolist() for task in asked}
    last = night.moments[-1].name
    accuracies[BEFORE], masks[BEFORE] = accuracies[last], masks[last]
    accuracies[AFTER] = shares(slept_right)
    masks[AFTER] = {task: night.slept.controller.whole_mask(night.parents[task]).tolist() for task in night.tasks}
    activity = {task: spiking(night.slept, night.data[task].test, night.parents[task]) for task in night.tasks}
    return {
        "accuracy": accuracies,
        "masks": masks,
        "overlap": {task: vars(_overlap(night, task)) for task in night.tasks},
        "mask_entropy": _entropies(masks),
        "spiking": {task: vars(found) for task, found in activity.items()},
        "spike_rate": float(np.mean([found.rate for found in activity.values()])),
        "deltas": deltas(accuracies),
        "backward_transfer": backward_transfer(accuracies, AFTER),
        "occupancy": occupancy(masks, *_banks(night)),
        "asked_as": night.parents,
        "guard_figures": _guard_figures(night),
    }


def _banks(night: Night) -> tuple[dict[str, str], dict[str, list[int]]]:
    """The bank of each task, and the columns of each bank that has tasks."""
    banks = {task.name: task.bank for task in night.config.tasks}
    soft = night.config.masking.soft_columns
    return dict(banks), {bank: list(soft.bank(bank)) for bank in banks.values()}


def _overlap(night: Night, task: str) -> Overlap:
    test = night.data[task].test
    before = wrong(night.evening, test, night.asleep_as[task])
    return overlap(before, wrong(night.slept, test, night.parents[task]))


def _entropies(masks: Mapping[str, Mapping[str, list[float]]]) -> dict[str, dict[str, float]]:
    return {
        stage: {task: mask_entropy(torch.tensor(mask)) for task, mask in by_task.items()}
        for stage, by_task in masks.items()
    }


def _guard_figures(night: Night) -> dict[str, float]:
    """What guards look at, on validation images: accuracy after sleep, and what later learning and any sleep cost."""

    def scores(brain: Brain, asked_as: Mapping[str, str]) -> dict[str, float]:
        return {task: accuracy(brain, night.data[task].validation, asked) for task, asked in asked_as.items()}

    settled: dict[str, float] = {}  # accuracy after a task was learned, or last slept on
    now: dict[str, float] = {}
    wake_drops, sleep_drops = [0.0], []

    def slept(morning: dict[str, float]) -> None:
        wake_drops.extend(settled[task] - now[task] for task in now)
        sleep_drops.append(float(np.mean([now[task] - morning[task] for task in now])))

    for moment in night.moments:
        scored = scores(night.after[moment.name], moment.asked_as)
        if moment.task is None:
            slept(scored)
            settled = dict(scored)
        else:
            settled[moment.task] = scored[moment.task]
        now = scored
    morning = scores(night.slept, night.parents)
    slept(morning)
    return {"accuracy": min(morning.values()), "sleep_drop": max(sleep_drops), "wake_drop": max(wake_drops)}


def _answers(night: Night) -> pa.Table:
    """Every test image's logit before and after sleep, asked as itself, or its parent if a sleep consolidated it."""
    parts = []
    for task in night.tasks:
        test = night.data[task].test
        asked = ((BEFORE, night.evening, night.asleep_as[task]), (AFTER, night.slept, night.parents[task]))
        for stage, brain, asked_as in asked:
            with torch.no_grad():
                logits = brain.logits(test.images, asked_as).numpy()
            parts.append(
                pa.table(
                    {
                        "stage": [stage] * len(test),
                        "task": [task] * len(test),
                        "asked_as": [asked_as] * len(test),
                        "row": test.rows,
                        "logit": logits,
                        "gold": test.answers.numpy() > 0.5,
                    }
                )
            )
    return pa.concat_tables(parts)


def _rasters(night: Night) -> dict[str, torch.Tensor]:
    """Spikes of each task's first test image in the column that its mask prefers, (T, H) zeros and ones."""
    found = {}
    for task in night.tasks:
        parent = night.parents[task]
        chosen = night.slept.controller.bank(parent)[night.slept.controller.mask(parent).argmax()].view(1)
        with torch.no_grad():
            prompt = night.slept.controller.prompt(parent)
            currents = night.slept.network.currents(night.data[task].test.images[:1], prompt, chosen)
            model = night.config.model
            found[task] = spike_trains(currents, model.time_steps, model.beta)[:, 0, 0].to(torch.uint8).contiguous()
    return found
