"""One night's replay: everything that waits for its first consolidation, and a budget of what earlier nights know.

What was never consolidated has no other copy than the store's, so it comes before everything else. Facts of earlier
nights are in the weights already; the policy says which of them to rehearse.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import ReplayConfig
from pipeline.replay.sample import sample

NIGHT_SCHEMA = "replay/2"
OVERDUE = "overdue"


def sample_night(
    stores: Mapping[str, pa.Table], config: ReplayConfig, seed: int, night: int
) -> tuple[pa.Table, dict[str, Any]]:
    """Draw what waits, then ``known_items`` facts of earlier nights by policy; ``max_items`` bounds both together.

    Args:
        stores: Rows by kind, see `pipeline.replay.sample.sample`; ``passes`` is 0 for what was never consolidated, and
            ``due`` the first night in which a row is due again.
        config: Section ``replay``.
        seed: The run's seed.
        night: Number of the night.

    Returns:
        The draws (schema ``replay/2``: ``replay/1`` and the column ``known``), and the metrics of `sample` for what
        waits, with those of earlier facts under ``known``.

    Raises:
        ConfigError: The policy is unknown.
        DataError: An id occurs twice within one kind and session.
    """
    waiting = {kind: rows.filter(pc.field("passes") == 0) for kind, rows in stores.items()}
    known = {kind: _with_overdue(rows.filter(pc.field("passes") > 0), night) for kind, rows in stores.items()}
    new, metrics = sample(waiting, config.model_copy(update={"policy": _first_policy(config.policy)}), seed, night)
    left = config.max_items - new.num_rows
    budget = left if config.known_items is None else min(left, config.known_items)
    if not budget or not any(rows.num_rows for rows in known.values()):
        return _marked(new, 0), metrics | {"known": {"samples": 0}}
    old, about = sample(known, config.model_copy(update={"max_items": budget}), seed, night)
    drawn = pa.concat_tables([new, old])
    order = pa.array(range(drawn.num_rows), pa.int32())
    drawn = drawn.set_column(drawn.schema.get_field_index("order"), "order", order)
    both = {name: metrics[name] + about[name] for name in ("samples", "distinct")}
    return _marked(drawn, old.num_rows), metrics | both | {"known": about}


def with_neighbours(drawn: pa.Table, stores: Mapping[str, pa.Table], names: Collection[str]) -> pa.Table:
    """The night's replay and, behind it, what is most like a forgotten fact, so that it is not forgotten with it.

    Args:
        drawn: Schema ``replay/2``.
        stores: Rows by kind, as of `sample_night`.
        names: Ids of the neighbours; what was drawn, or is not to be replayed, is left out.
    """
    have = set(drawn.column("episode_id").to_pylist())
    wanted = {name for name in names if name not in have}
    added: list[dict[str, Any]] = []
    for kind, rows in stores.items():
        for row in rows.filter(pc.field("consolidate")).select(["episode_id", "session"]).to_pylist():
            if row["episode_id"] in wanted:
                order = drawn.num_rows + len(added)
                added.append({**row, "kind": kind, "weight": 1.0, "cycle": 0, "order": order, "known": True})
    return pa.concat_tables([drawn, pa.Table.from_pylist(added, schema=drawn.schema)]) if added else drawn


def _first_policy(policy: str) -> str:
    """What was never consolidated has neither a due night nor a loss."""
    return "uniform" if policy in ("spaced", "loss") else policy


def _with_overdue(rows: pa.Table, night: int) -> pa.Table:
    """Nights since a row was due, negative before; what policy ``spaced`` reads."""
    return rows.append_column(OVERDUE, pc.subtract(pa.scalar(night, pa.int64()), rows.column("due")))


def _marked(drawn: pa.Table, known: int) -> pa.Table:
    """The table with ``known`` set in its last rows."""
    marks = [False] * (drawn.num_rows - known) + [True] * known
    return drawn.append_column("known", pa.array(marks, pa.bool_()))
