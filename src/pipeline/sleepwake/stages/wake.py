"""Stage ``wake``: the days before the first sleep are read with the memory on; what surprises goes into the store.

Writes ``store.json``, which says which generation of the store this run uses, and ``detector.json``, the statistics
that tell surprises.
"""

from __future__ import annotations

from pipeline.artifacts import RunFolder, StageResult, read_table
from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.progress import Progress
from pipeline.sleepwake.building import corpus_of, device_of, load_model
from pipeline.sleepwake.cycles import Life
from pipeline.sleepwake.days import STREAMS_SCHEMA, streams_of
from pipeline.sleepwake.kept import publish_slots
from pipeline.sleepwake.stages.pretrain_byte_lm import MODEL
from pipeline.stages.registry import opened


def run(run: RunFolder, config: SleepWakeConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``pretrain_byte_lm`` and ``generate_episodes``.
        progress: Reports parts of the work.

    Raises:
        StoreError: Another process writes the store.
    """
    with opened(run, config, "wake", inputs) as stage:
        if stage.hit:
            return stage.result
        model = load_model(config, inputs["pretrain_byte_lm"].path / MODEL, device_of(config))
        streams = read_table(inputs["generate_episodes"].path / "streams.parquet", STREAMS_SCHEMA)
        progress.phase("reading", config.sleep.first_cycle + 1)
        life, memories, rates = Life.begin(config, model, corpus_of(config)), 0, list[float]()
        for cycle in range(config.sleep.first_cycle + 1):
            day = life.day(cycle, streams_of(streams, cycle))
            memories += len(day.memories)
            rates.append(day.event_rate)
            if cycle < config.sleep.first_cycle:
                life.rest(cycle)
            progress.advance()
        stage.write_json("detector.json", life.detector_state())
        generation = publish_slots(run, config, life.store)
        stage.write_json("store.json", generation.reference)
        stage.metrics = {
            "memories": memories,
            "rows": len(life.store.slots),
            "cues": len(life.store.cues),
            "bytes": generation.bytes,
            "generation": generation.number,
            "event_rate": rates[-1],
            "threshold": life.detector.threshold,
        }
    return stage.result
