"""Stage ``sleep``: the first sleep. What the store selects is learned by the weights; what is verified leaves it.

Writes ``model.safetensors``, ``steps.parquet`` and ``probes.parquet`` with the losses of every step and the figures of
every probe, ``sleep.json``, and ``store.json`` for the generation without what left.
"""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from pipeline.artifacts import RunFolder, Stage, StageResult, read_json
from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.devices import device_name
from pipeline.progress import Progress
from pipeline.sleepwake.building import corpus_of, device_of, load_model, save_model
from pipeline.sleepwake.cycles import Life
from pipeline.sleepwake.kept import publish_slots, read_slots
from pipeline.sleepwake.sleep import Slept
from pipeline.sleepwake.stages.pretrain_byte_lm import MODEL, STEPS_SCHEMA, steps_table
from pipeline.stages.registry import opened

PROBES_SCHEMA = "sleepwake-probes/1"


def run(run: RunFolder, config: SleepWakeConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: All earlier stages.
        progress: Reports parts of the work.

    Raises:
        StoreError: Another process writes the store.
    """
    with opened(run, config, "sleep", inputs) as stage:
        if stage.hit:
            return stage.result
        device = device_of(config)
        life = awake(run, config, inputs, device)
        before, cycle = len(life.store.memories), config.sleep.first_cycle
        progress.phase("sleeping", config.sleep_of(cycle).steps)
        selected = life.store.selected()
        slept = life.night(cycle, lambda step, row: progress.advance())
        stage.add(save_model(life.model, stage.folder / MODEL))
        _publish(stage, slept)
        generation = publish_slots(run, config, life.store)
        stage.write_json("store.json", generation.reference)
        stage.metrics = sleep_figures(slept) | {
            "memories": before,
            "selected": len(selected),
            "importance_selected": sum(slot.importance for slot in selected) / max(1, len(selected)),
            "left": before - len(life.store.memories),
            "rows": len(life.store.slots),
            "cues": len(life.store.cues),
            "bytes": generation.bytes,
            "generation": generation.number,
            "device": device_name(device),
        }
        if slept.stopped:
            progress.note(slept.stopped)
    return stage.result


def awake(run: RunFolder, config: SleepWakeConfig, inputs: dict[str, StageResult], device: str) -> Life:
    """What stage ``wake`` left."""
    model = load_model(config, inputs["pretrain_byte_lm"].path / MODEL, device)
    life = Life.new(config, model, corpus_of(config))
    life.load(read_json(inputs["wake"].path / "detector.json"), *read_slots(run, inputs["wake"]))
    return life


def sleep_figures(slept: Slept) -> dict[str, Any]:
    """How a sleep went, in a few figures."""
    last = slept.probes[-1] if slept.probes else {"recall": 0.0, "drift": 0.0}
    return {
        "steps": len(slept.steps),
        "teacher_right": slept.teacher_right,
        "recall_memories": last["recall"],
        "drift_probed": last["drift"],
        "rollbacks": slept.rollbacks,
        "kept_share": slept.kept_share,
        "stopped": slept.stopped,
    }


def probes_table(slept: Slept) -> pa.Table:
    """One row a probe."""
    names = ("step", "recall", "drift", "loss", "lr")
    columns = {name: pa.array([_number(probe[name]) for probe in slept.probes], pa.float64()) for name in names}
    return pa.table({"at_step": columns.pop("step"), **columns})


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _publish(stage: Stage, slept: Slept) -> None:
    stage.write_table("steps", steps_table(slept.steps), STEPS_SCHEMA)
    stage.write_table("probes", probes_table(slept), PROBES_SCHEMA)
    stage.write_json("sleep.json", {"weight_change": slept.weight_change, "stopped": slept.stopped})
