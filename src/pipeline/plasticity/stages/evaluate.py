"""Stage ``evaluate``: accuracy on every task after every task and after sleep, rivals, and the system without a part.

The one stage that reads test images. Writes ``metrics.json`` and ``answers.parquet``. Guards are measured on validation
images. A variant that is finished is kept beside (``variant_<name>.json``), so that a stage that was cut short goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from pipeline.artifacts import RunFolder, StageResult, read_json, write_json
from pipeline.columns.summaries import mean_difference
from pipeline.config.liquid import PlasticityConfig
from pipeline.continual.stream import Stream
from pipeline.images import load_images
from pipeline.plasticity import measures
from pipeline.plasticity.day import accuracies, live, mean_images, moments_of, right, single_thread
from pipeline.plasticity.learner import PlasticLearner
from pipeline.plasticity.stages.sleep_distil import STATE
from pipeline.plasticity.stages.wake_train import newborn, snapshot
from pipeline.plasticity.streams import fewer, stream_of
from pipeline.plasticity.variants import VARIANTS, chosen_variants, settings_of
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
        learner = newborn(config)
        untrained = accuracies(learner, stream)
        tasks = len(stream.train)
        progress.phase("test images", tasks + 1)
        after, guarded = [], []
        for number in range(tasks + 1):
            path = snapshot(inputs["wake_train"], number + 1) if number < tasks else inputs["sleep_distil"].path / STATE
            learner.load(path)
            after.append(accuracies(learner, stream))
            guarded.append(accuracies(learner, validation))
            progress.advance()
        measured = figures(after, untrained) | _activity(learner, stream)
        slept = [right(learner, judged) for judged in stream.judged]
        names = chosen_variants(config.evaluation.controls)
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
        measured["guard_figures"] = {
            "average_accuracy": measures.average_accuracy(guarded),
            "forgetting": measures.forgetting([*guarded[: tasks - 1], guarded[-1]]),
        }
        stage.write_json("metrics.json", measured)
        stage.write_table("answers", _answers(learner, stream), ANSWERS_SCHEMA)
        stage.metrics = {name: measured[name] for name in ("average_accuracy", "forgetting", "backward_transfer")}
    return stage.result


def figures(after: Sequence[Sequence[float]], untrained: Sequence[float]) -> dict[str, Any]:
    """The matrix and what it says.

    Args:
        after: Accuracies after every task, and in the last row after the night's sleep, by task.
        untrained: Of a network that has seen nothing.
    """
    tasks = len(after) - 1
    days = [*after[: tasks - 1], after[-1]]  # every row after that task's sleep
    moments = moments_of(tasks)
    return {
        "average_accuracy": measures.average_accuracy(days),
        "forgetting": measures.forgetting(days),
        "backward_transfer": measures.backward_transfer(days),
        "forward_transfer": measures.forward_transfer(days, untrained),
        "accuracy": {
            moment: {str(task + 1): value for task, value in enumerate(row)}
            for moment, row in zip(moments, after, strict=True)
        },
    }


def _activity(learner: PlasticLearner, stream: Stream) -> dict[str, Any]:
    """Spikes a neuron and step of every block's encoder, over a thousand test images."""
    images = torch.cat([judged.images[: 1000 // len(stream.judged)] for judged in stream.judged])
    layers = range(learner.model.num_layers)
    with torch.no_grad():
        spikes = learner.network.eval().with_spikes(images.float() / 255, layers)[1]
    local = learner.local.controller
    multiples = {} if local is None else local.multiples()
    return {
        "spike_rate": float(np.mean([float(spikes[layer].after.mean()) for layer in layers])),
        "plasticity": {
            name: {str(layer): float(value) for layer, value in zip(learner.local.layers, values, strict=True)}
            for name, values in multiples.items()
        },
        "steps": learner.steps,
    }


def _lived(
    name: str, config: PlasticityConfig, stream: Stream, slept: Sequence[Tensor], progress: Progress
) -> dict[str, Any]:
    """One variant's day and night, and how much more the system answers rightly than it."""
    model, sleep = settings_of(name, config, mean_images(stream))
    learner, after = live(model, sleep, stream, config.seed, progress.advance)
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
    baselines = {name: dict(told) for name, told in found.items() if VARIANTS[name].kind == "baseline"}
    ablations = {
        name: {"on": ours, "off": told["average_accuracy"], "gain": told["gain"], "interval": told["interval"]}
        for name, told in found.items()
        if VARIANTS[name].kind == "ablation"
    }
    return {"baselines": baselines, "ablations": ablations}


def _answers(learner: PlasticLearner, stream: Stream) -> pa.Table:
    """The answer to every test image after sleep."""
    parts = []
    for number, judged in enumerate(stream.judged):
        answers = learner.logits(judged.images).argmax(-1)
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
