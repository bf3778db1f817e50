"""Many nights in one go: every night but the last one is a run of its own, and the last one is the month's run itself.

    runs/consolidation/nightly/<month's run id>-01 …     nights 1 to N - 1
    runs/consolidation/month/<run id>                    night N, whose report holds the whole retention matrix

A month that was cut short goes on with the night that was not finished.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.artifacts import RunFolder, open_run
from pipeline.config import ConsolidationConfig
from pipeline.stages.night import Night

NIGHTLY = "nightly"


def nights_before(month: Night) -> Iterator[Night]:
    """Every night of a month but the last one, in order, each owned while it is the caller's.

    Finished ones are left out, and a flow that is no month has none.
    """
    config = month.config
    if not isinstance(config, ConsolidationConfig) or config.nights is None:
        return
    for number in range(1, config.nights.count):
        own = night_of(config, number)
        run_id = f"{month.run.run_id}-{number:02d}"
        known = own.root / "runs" / own.flow / own.deployment / run_id
        if (known / "manifest.json").is_file() and RunFolder.at(known).state == "done":
            continue
        with open_run(own, run_id) as run:
            yield Night(run, own)


def night_of(config: ConsolidationConfig, number: int) -> ConsolidationConfig:
    """Configuration of night ``number``, counted from 1, of a month."""
    assert config.nights is not None
    facts = config.nights.facts
    suite = config.suite.model_copy(update={"n": facts, "skip": (number - 1) * facts})
    return config.model_copy(update={"deployment": NIGHTLY, "nights": None, "suite": suite})
