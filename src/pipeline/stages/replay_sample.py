"""Stage ``replay_sample``: draw from the stores what sleep replays this night.

Writes ``replay`` (schema replay/2): which episode in which order, with its weight, and whether an earlier night knows
it.
"""

from __future__ import annotations

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config import ConsolidationConfig
from pipeline.errors import StoreError
from pipeline.progress import Progress
from pipeline.replay.earlier import NIGHT_SCHEMA, sample_night, with_neighbours
from pipeline.stages.memory import references_of
from pipeline.stages.pending import forgotten_of_night
from pipeline.stages.registry import opened
from pipeline.stores.episode import EPISODE_SCHEMA
from pipeline.stores.episode_table import FIELDS
from pipeline.stores.registry import store_class


def run(run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``persist_store``.
        progress: Reports parts of the work.

    Raises:
        StoreError: The stores hold nothing that sleep may replay.
    """
    with opened(run, config, "replay_sample", inputs) as stage:
        if stage.hit:
            return stage.result
        progress.phase("drawing")
        references = references_of(inputs["persist_store"])
        written = {ref.kind: ref.store(run).generation(ref.generation) for ref in references}
        rows = {
            kind: store_class(kind).replayable(generation.table("episodes", EPISODE_SCHEMA, FIELDS))
            for kind, generation in written.items()
        }
        size = sum(table.num_rows for table in rows.values())
        night = max(int(generation.metadata["night"]) for generation in written.values())  # as the oldest store counts
        replay, metrics = sample_night(rows, config.replay, config.seed, night)
        forgotten = forgotten_of_night(run.root, config, inputs["persist_store"])
        replay = with_neighbours(replay, rows, [name for item in forgotten for name in item.neighbours])
        metrics |= {"samples": replay.num_rows, "distinct": len(set(replay.column("episode_id").to_pylist()))}
        if not replay.num_rows:
            session = references[0].session
            raise StoreError(
                f"the store of session {session!r} holds {size} episodes, none of which sleep may "
                "replay; teach it first: engram teach FILE --session " + session
            )
        stage.write_table("replay", replay, NIGHT_SCHEMA)
        stage.metrics = {**metrics, "store_size": size, "night": night}
    return stage.result
