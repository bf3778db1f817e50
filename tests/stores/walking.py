"""Walks as episodes, for tests of the spatial store."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pipeline.stores import Episode


def walk(identity: str, way: str, minutes: Sequence[float], *, reached: bool = True, **changes: object) -> Episode:
    """An episode of a walk; ``way`` is "mill north chapel east bakery"."""
    words = way.split()
    places, directions = words[::2], words[1::2]
    details = {"places": places, "directions": directions, "minutes": list(minutes), "reached": reached}
    return Episode(
        episode_id=identity,
        session="day-01",
        text=f"A walk: {way}.",
        digest=f"{way}/{list(minutes)}/{reached}",
        details=json.dumps(details),
        accepted=True,
        salience=0.5,
        **changes,
    )
