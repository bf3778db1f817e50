"""Stage ``wake_train``: learn epoch after epoch under the gate.

Writes ``model.safetensors``; ``epochs.parquet`` with what the gate saw, what it decided and what was measured;
``steps.parquet`` with the losses of every step, and probes of validation accuracy between epochs;
``samples.parquet`` with single reads and writes of every epoch. After each epoch ``checkpoint.safetensors`` holds
everything, so that a training that was cut short goes on with the next one.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from pipeline.artifacts import RunFolder, Stage, StageResult, read_table, write_table
from pipeline.config.needle import NeedleConfig
from pipeline.devices import device_name, device_of
from pipeline.needle.building import stored
from pipeline.needle.course import Course, save_model
from pipeline.needle.measures import samples
from pipeline.needle.peers import parameters
from pipeline.needle.stages.persist_store import folder_of
from pipeline.needle.telemetry import (
    EPOCHS_SCHEMA,
    SAMPLES_SCHEMA,
    STEPS_SCHEMA,
    epochs_table,
    samples_table,
    steps_table,
)
from pipeline.needle.training import Row
from pipeline.progress import Progress
from pipeline.stages.registry import opened

MODEL, CHECKPOINT = "model.safetensors", "checkpoint.safetensors"
_PARTS = {"steps": STEPS_SCHEMA, "samples": SAMPLES_SCHEMA}


def run(run: RunFolder, config: NeedleConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``persist_store``.
        progress: Reports parts of the work.

    Raises:
        TrainingError: A loss is not a number.
    """
    with opened(run, config, "wake_train", inputs) as stage:
        if stage.hit:
            return stage.result
        progress.phase("reading sequences")
        device, folder = device_of(config.device), folder_of(run, inputs["persist_store"])
        course = Course(config, device, stored(folder, "train", device), stored(folder, "val", device))
        checkpoint = stage.folder / CHECKPOINT
        if checkpoint.is_file():
            course.load(checkpoint)
        progress.phase("training", course.steps)
        progress.advance(course.trainer.done)
        while not course.over:
            _epoch(course, stage, progress)
            course.save(checkpoint)
        _publish(course, stage)
        stage.metrics = course.summary() | {
            "guard_figures": course.guard_figures(),
            "device": device_name(device),
            "parameters": parameters(course.model),
            "seconds_by_epoch": [round(row["seconds"], 3) for row in course.times],
            "probe_seconds": round(sum(row["probe.seconds"] for row in course.times), 3),
            "tokens_per_second": max(row["tokens_per_second"] for row in course.times),
        }
        if course.stopped:
            progress.note(course.stopped)
    return stage.result


def _epoch(course: Course, stage: Stage, progress: Progress) -> None:
    """One epoch, with its steps and samples in files of their own until all are there."""
    number, first, told = len(course.rows) + 1, course.trainer.done, list[Row]()

    def note(figures: Row) -> None:
        told.append(figures)
        progress.advance()

    evaluation = course.epoch(note)
    kept = samples_table(samples(evaluation, "val", number), course.config.logging.samples)
    for name, table in {"steps": steps_table(told, first), "samples": kept}.items():
        write_table(_part(stage, name, number), table, _PARTS[name], stage.config_hash)
    decision, row = course.decisions[-1], course.rows[-1]
    progress.note(f"epoch {number}: right {row['val.acc']:.3f}, gate {decision.gate}, λ {decision.nce_lambda:.4f}")


def _part(stage: Stage, name: str, number: int) -> Path:
    return stage.folder / f"{name}_{number}.parquet"


def _publish(course: Course, stage: Stage) -> None:
    stage.add(save_model(course.model, stage.folder / MODEL))
    epochs = epochs_table(course.config.nce, course.all_signals(), course.decisions, course.rows)
    stage.write_table("epochs", epochs, EPOCHS_SCHEMA)
    numbers = range(1, len(course.rows) + 1)
    for name, schema in _PARTS.items():
        parts = [read_table(_part(stage, name, number), schema) for number in numbers]
        stage.write_table(
            name, pa.concat_tables(parts, promote_options="default").replace_schema_metadata(None), schema
        )
    for path in [stage.folder / CHECKPOINT, *(_part(stage, name, n) for name in _PARTS for n in numbers)]:
        path.unlink(missing_ok=True)
