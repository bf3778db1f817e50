"""What time and feedback do to episodes: decay, pruning, usage, and the ladder of spaced replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline.stores.episode import Episode
from pipeline.stores.records import Records

INTERVALS = (1, 2, 4, 8)
"""Nights until an episode is due again, by its stage (expanding intervals, consolidation.md section 4)."""


def decayed(rows: Sequence[Episode], nights: float, half_life: float) -> Records[Episode]:
    """Rows with salience times 0.5 ** (nights / half_life); pinned rows as they were."""
    known = Records.of(Episode, rows)
    factor = np.where(known.column("pin"), 1.0, 0.5 ** (nights / half_life))
    return known.replace(salience=known.column("salience") * factor)


def prunable(row: Episode) -> bool:
    """Whether a row may be dropped: not pinned, and not waiting for its first consolidation."""
    waiting = row.consolidate and row.passes == 0
    return not row.pin and not waiting


def folded(
    rows: Sequence[Episode],
    usage: Mapping[str, float],
    probes: Mapping[str, bool],
    night: int,
    losses: Mapping[str, float],
) -> Records[Episode]:
    """Rows after one run's feedback.

    Args:
        rows: Episodes.
        usage: Retrievals by episode id, added to ``usage``; any sets ``last_used``.
        probes: Probe outcomes by episode id. A pass moves one stage up and counts; a failure moves one stage down.
        night: The night of that run; the next due night is counted from it, and what it used was used in it.
        losses: Last loss of what was trained, nats per answer token, by episode id.
    """
    known = Records.of(Episode, rows)
    told = known.where("episode_id", {*usage, *probes, *losses})
    changed = zip(told, known.take(told), strict=True)
    return known.put({i: _probed(_used(row, usage, losses, night), probes, night) for i, row in changed})


def withdrawn(rows: Sequence[Episode], passed: frozenset[str], night: int) -> list[Episode]:
    """Rows after the probe outcomes of one run were taken back: one pass and one stage less, and due at once."""
    return [
        replace(row, passes=max(row.passes - 1, 0), stage=max(row.stage - 1, 0), due=night)
        if row.episode_id in passed
        else row
        for row in rows
    ]


def _used(row: Episode, usage: Mapping[str, float], losses: Mapping[str, float], night: int) -> Episode:
    count = usage.get(row.episode_id, 0)
    last_used = max(row.last_used, night) if count else row.last_used
    return replace(row, usage=row.usage + count, last_used=last_used, loss=losses.get(row.episode_id, row.loss))


def _probed(row: Episode, probes: Mapping[str, bool], night: int) -> Episode:
    passed = probes.get(row.episode_id)
    if passed is None:
        return row
    if not passed:
        return replace(row, stage=max(row.stage - 1, 0), due=night + 1)
    first = row.passes == 0
    stage = 0 if first else min(row.stage + 1, len(INTERVALS) - 1)
    return replace(row, stage=stage, passes=row.passes + 1, due=night + INTERVALS[stage])
