"""Stage ``generate_episodes``: the facts of every day, and the streams of text in which they are told.

Writes ``episodes.parquet``, one row a fact, and ``streams.parquet``, one row a stream of a day.
"""

from __future__ import annotations

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.progress import Progress
from pipeline.sleepwake.building import corpus_of
from pipeline.sleepwake.days import (
    EPISODES_SCHEMA,
    STREAMS_SCHEMA,
    day_streams,
    episodes_table,
    plan_days,
    streams_table,
)
from pipeline.stages.registry import opened


def run(run: RunFolder, config: SleepWakeConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: None is read.
        progress: Reports parts of the work.

    Raises:
        DataError: More facts are asked for than there are keys, or than fit into a stream.
    """
    with opened(run, config, "generate_episodes", inputs) as stage:
        if stage.hit:
            return stage.result
        progress.phase("facts and streams", config.episodes.cycles)
        corpus, days = corpus_of(config), plan_days(config.seed, config.episodes)
        streams = []
        for cycle in range(config.episodes.cycles):
            streams.append(day_streams(config.seed, days, cycle, corpus.train, config.episodes))
            progress.advance()
        stage.write_table("episodes", episodes_table(days), EPISODES_SCHEMA)
        stage.write_table("streams", streams_table(streams), STREAMS_SCHEMA)
        stage.metrics = {
            "facts": len(days.facts),
            "guard_facts": len(days.guard_facts),
            "streams": sum(map(len, streams)),
            "bytes": sum(len(stream) for day in streams for stream in day),
        }
    return stage.result
