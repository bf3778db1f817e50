"""Settings of sharding: over how many processes the answers of the language model are spread."""

from __future__ import annotations

from pydantic import Field

from pipeline.config.section import Section


class ShardingConfig(Section):
    """Who generates in stages ``sleep_distil`` and ``evaluate`` on a CPU; no setting here changes an answer."""

    shards: int = Field(
        1, ge=1, description="processes that share every generation, each with a model of its own; 1 is this process"
    )
    executor: str = Field(
        "processes", description="what runs them: `processes` of this host, or `ray` (extra ray), also on others"
    )
    address: str | None = Field(
        None, description="HOST:PORT of a Ray cluster that shares the artifact root; null starts one for the stage"
    )
