"""Stage ``replay_sample``: draw from the store what sleep replays this night.

Writes ``replay`` (schema replay/1): which episode in which order, with its weight.
"""

from __future__ import annotations

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config import ConsolidationConfig
from pipeline.errors import StoreError
from pipeline.progress import Progress
from pipeline.replay.sample import REPLAY_SCHEMA, sample
from pipeline.stages.memory import reference_of
from pipeline.stages.registry import opened
from pipeline.stores.episode import EPISODE_SCHEMA
from pipeline.stores.persistence import KIND


def run(run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``persist_store``.
        progress: Reports parts of the work.

    Raises:
        StoreError: The store holds nothing that sleep may replay.
    """
    with opened(run, config, "replay_sample", inputs) as stage:
        if stage.hit:
            return stage.result
        progress.phase("drawing")
        reference = reference_of(inputs["persist_store"])
        generation = reference.store(run).generation(reference.generation)
        rows = generation.table("episodes", EPISODE_SCHEMA)
        replay, metrics = sample({KIND: rows}, config.replay, config.seed, int(generation.metadata["night"]))
        if not replay.num_rows:
            raise StoreError(
                f"the store of session {reference.session!r} holds {rows.num_rows} episodes, none of which sleep may "
                "replay; teach it first: engram teach FILE --session " + reference.session
            )
        stage.write_table("replay", replay, REPLAY_SCHEMA)
        stage.metrics = {**metrics, "store_size": rows.num_rows, "night": int(generation.metadata["night"])}
    return stage.result
