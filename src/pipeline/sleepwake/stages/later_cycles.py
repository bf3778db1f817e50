"""Stage ``later_cycles``: further days, each with new facts and a sleep, so that forgetting shows.

Writes ``model_<cycle>.safetensors`` of every cycle, ``cycles.json`` on how days and sleeps went, and ``store.json``
for the last generation. A cycle that is finished is kept beside, so that a stage that was cut short goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.artifacts import RunFolder, StageResult, read_json, read_table, write_json, write_table
from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.progress import Progress
from pipeline.sleepwake.building import corpus_of, device_of, load_model, save_model
from pipeline.sleepwake.cycles import Life
from pipeline.sleepwake.days import STREAMS_SCHEMA, streams_of
from pipeline.sleepwake.kept import publish_slots, read_slots
from pipeline.sleepwake.stages.pretrain_byte_lm import MODEL
from pipeline.sleepwake.stages.sleep import sleep_figures
from pipeline.sleepwake.surprise_store import SCHEMA_NAME
from pipeline.stages.registry import opened


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
    with opened(run, config, "later_cycles", inputs) as stage:
        if stage.hit:
            return stage.result
        device = device_of(config)
        slots, following = read_slots(run, inputs["sleep"])
        life = Life.new(config, load_model(config, inputs["sleep"].path / MODEL, device), corpus_of(config))
        life.load(read_json(inputs["wake"].path / "detector.json"), slots, following)
        streams = read_table(inputs["generate_episodes"].path / "streams.parquet", STREAMS_SCHEMA)
        told = list[dict[str, Any]]()
        progress.phase("days and nights", sum(config.sleep_of(cycle).steps for cycle in config.later_cycles))
        for cycle in config.later_cycles:
            kept, slots_path = _state_of(stage.folder, cycle)
            if not kept.is_file():
                day = life.day(cycle, streams_of(streams, cycle))
                slept = life.night(cycle, lambda step, row: progress.advance())
                save_model(life.model, model_of(stage.folder, cycle))
                write_table(slots_path, life.slots(), SCHEMA_NAME, stage.config_hash)
                figures = sleep_figures(slept) | {"memories": len(day.memories), "left_over": len(life.store.memories)}
                state = {"detector": life.detector_state(), "next_id": life.store.next_id}
                write_json(kept, {"cycle": cycle, "figures": figures} | state)
            else:
                _take_up(life, config, stage.folder, cycle, device)
            told.append({"cycle": cycle} | read_json(kept)["figures"])
            progress.note(f"cycle {cycle}: {told[-1]['recall_memories']:.3f} of memories answered from the weights")
        for cycle in config.later_cycles:
            for path in (model_of(stage.folder, cycle), *_state_of(stage.folder, cycle)):
                stage.add(path)
        stage.write_json("cycles.json", told)
        generation = publish_slots(run, config, life.store)
        stage.write_json("store.json", generation.reference)
        stage.metrics = {
            "cycles": len(told),
            "steps": sum(row["steps"] for row in told),
            "rows": len(life.store.slots),
            "cues": len(life.store.cues),
            "bytes": generation.bytes,
            "generation": generation.number,
        }
    return stage.result


def model_of(folder: Path, cycle: int) -> Path:
    """Where the weights behind a cycle lie."""
    return folder / f"model_{cycle}.safetensors"


def _state_of(folder: Path, cycle: int) -> tuple[Path, Path]:
    """Where detector and store behind a cycle lie; the first is written last."""
    return folder / f"cycle_{cycle}.json", folder / f"slots_{cycle}.parquet"


def _take_up(life: Life, config: SleepWakeConfig, folder: Path, cycle: int, device: str) -> None:
    """What a finished cycle of an attempt that was cut short left."""
    kept, slots = _state_of(folder, cycle)
    state = read_json(kept)
    life.model = load_model(config, model_of(folder, cycle), device)
    life.load(state["detector"], read_table(slots, SCHEMA_NAME), state["next_id"])
