"""Stage ``evaluate``: accuracy on every task after every task and after sleep, rivals, and the system without a part.

The one stage that reads test images. Writes ``metrics.json`` and ``answers.parquet``. Guards are measured on validation
images. A variant that is finished is kept beside (``variant_<name>.json``), so that a stage that was cut short goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from pipeline.artifacts import RunFolder, StageResult, read_json, write_json
from pipeline.config.liquid import PlasticityConfig
from pipeline.continual.paired import mean_difference
from pipeline.continual.stream import Stream
from pipeline.images import load_images
from pipeline.plasticity import measures
from pipeline.plasticity.day import accuracies, live, mean_images, moments_of, right, single_thread
from pipeline.plasticity.learners import new_learner
from pipeline.plasticity.stages.sleep_distil import STATE
from pipeline.plasticity.stages.wake_train import snapshot
from pipeline.plasticity.streams import fewer, stream_of
from pipeline.plasticity.variants import chosen_variants, variant, variant_learner
from pipeline.progress import Progress
from pipeline.stages.registry import opened

ANSWERS_SCHEMA = "plasticity-answers/1"


def run(run: RunFolder, config: PlasticityConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``wake_train`` and ``sleep_distil``.
        progress: Reports parts of the work.
    """
    with opened(run, config, "evaluate", inputs) as stage:
        if stage.hit:
            return stage.result
        single_thread()
        progress.phase("reading images")
        stream = fewer(stream_of(config.stream, config.seed, load_images), config.evaluation.test_images)
        validation = stream_of(config.stream, config.seed, load_images, judged_by="validation")
        learner, tasks = new_learner(config), len(stream.train)
        untrained = accuracies(learner, stream) if tasks > 1 else None
        paths = [snapshot(inputs["wake_train"], number + 1) for number in range(tasks)]
        if inputs["sleep_distil"].metrics["steps"]:
            paths.append(inputs["sleep_distil"].path / STATE)
        progress.phase("test images", len(paths))
        after, guarded = [], []
        for path in paths:
            learner.load(path)
            after.append(accuracies(learner, stream))
            guarded.append(accuracies(learner, validation))
            progress.advance()
        if len(paths) == tasks:  # a sleep without a step leaves the learner as it was
            after, guarded = [*after, after[-1]], [*guarded, guarded[-1]]
        measured = figures(after, untrained) | learner.activity(_examined(stream)) | {"steps": learner.steps}
        answered = [learner.logits(judged.images).argmax(-1) for judged in stream.judged]
        slept = [answers == judged.labels for answers, judged in zip(answered, stream.judged, strict=True)]
        names = chosen_variants(config.evaluation.controls, config.learner)
        progress.phase("rivals and parts left out", len(names) * tasks)
        found: dict[str, dict[str, Any]] = {}
        for name in names:
            progress.note(name)
            path = stage.folder / f"variant_{name}.json"
            if not path.is_file():
                write_json(path, _lived(name, config, stream, slept, progress))
            found[name] = read_json(path)
            stage.add(path)
        measured |= _compared(found, measured["average_accuracy"])
        # a day ends with its last sleep: the row before it does not count
        measured["guard_figures"] = {"average_accuracy": measures.average_accuracy(guarded)}
        if tasks > 1:
            forgotten = measures.forgetting([*guarded[: tasks - 1], guarded[-1]])
            measured["guard_figures"]["forgetting"] = forgotten
        stage.write_json("metrics.json", measured)
        stage.write_table("answers", _answers(answered, stream), ANSWERS_SCHEMA)
        stage.metrics = {name: measured[name] for name in ("average_accuracy", "forgetting", "backward_transfer")}
    return stage.result


def figures(after: Sequence[Sequence[float]], untrained: Sequence[float] | None) -> dict[str, Any]:
    """The matrix and what it says; one task alone transfers nothing.

    Args:
        after: Accuracies after every task, and in the last row after the night's sleep, by task.
        untrained: Of a network that has seen nothing; None for one task alone.
    """
    tasks = len(after) - 1
    days = [*after[: tasks - 1], after[-1]]  # every row after that task's sleep
    moments = moments_of(tasks)
    return {
        "average_accuracy": measures.average_accuracy(days),
        "forgetting": measures.forgetting(days),
        "backward_transfer": measures.backward_transfer(days) if tasks > 1 else None,
        "forward_transfer": None if untrained is None else measures.forward_transfer(days, untrained),
        "accuracy": {
            moment: {str(task + 1): value for task, value in enumerate(row)}
            for moment, row in zip(moments, after, strict=True)
        },
    }


def _examined(stream: Stream) -> Tensor:
    """A thousand test images, as many of every task."""
    return torch.cat([judged.images[: 1000 // len(stream.judged)] for judged in stream.judged])


def _lived(
    name: str, config: PlasticityConfig, stream: Stream, slept: Sequence[Tensor], progress: Progress
) -> dict[str, Any]:
    """One variant's day and night, and how much more the system answers rightly than it."""
    learner = variant_learner(name, config, mean_images(stream))
    after = live(learner, stream, progress.advance)
    own = {str(number): right(learner, judged) for number, judged in enumerate(stream.judged)}
    gain, interval = mean_difference({str(number): task for number, task in enumerate(slept)}, own)
    return {
        "average_accuracy": measures.average_accuracy(after),
        "forgetting": measures.forgetting(after),
        "steps": learner.steps,
        "gain": gain,
        "interval": list(interval),
    }


def _compared(found: Mapping[str, Mapping[str, Any]], ours: float) -> dict[str, Any]:
    """Rivals under ``baselines``, parts left out under ``ablations``."""
    baselines = {name: dict(told) for name, told in found.items() if variant(name).kind == "baseline"}
    ablations = {
        name: {"on": ours, "off": told["average_accuracy"], "gain": told["gain"], "interval": told["interval"]}
        for name, told in found.items()
        if variant(name).kind == "ablation"
    }
    return {"baselines": baselines, "ablations": ablations}


def _answers(answered: Sequence[Tensor], stream: Stream) -> pa.Table:
    """The answer to every test image after sleep."""
    parts = []
    for number, (answers, judged) in enumerate(zip(answered, stream.judged, strict=True)):
        parts.append(
            pa.table(
                {
                    "task": [number + 1] * len(judged),
                    "row": range(len(judged)),
                    "answer": answers.tolist(),
                    "gold": judged.labels.tolist(),
                }
            )
        )
    return pa.concat_tables(parts)
