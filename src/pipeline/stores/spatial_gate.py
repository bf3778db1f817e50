"""The gate of the spatial store: what is new on the map, and what took longer or shorter than expected.

    S = novelty * n + surprise * s + reward * r + pin * p,   written when S > threshold

n is the larger share of a walk's places, or of its passages, that the map does not hold; a new route over known
passages counts one half. s is the largest surprise of its steps: 1 - exp(-d / tolerance) where the time deviates from
the learned one by the share d, 1 where a known passage now leads in another direction; of a walk that failed, how sure
it seemed to succeed. The weights and their defaults stand in `SpatialGateConfig`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.config import GateConfig
from pipeline.config.memory import SpatialGateConfig
from pipeline.stores.episode import Episode
from pipeline.stores.gate import GateDecision
from pipeline.stores.place_graph import Passage, PlaceGraph
from pipeline.stores.walks import Walk, walk_of

_NEW_ROUTE = 0.5  # novelty of a new combination of known passages
_AS_EXPECTED = 0.5  # surprise below which a known walk that was refused is called a duplicate


@dataclass(frozen=True)
class _Parts:
    """What the gate weighs; ``nearest`` is an episode that shows the same, empty when there is none."""

    novelty: float
    surprise: float
    nearest: str


def judge_walks(
    rows: Sequence[Episode], known: PlaceGraph, config: GateConfig
) -> tuple[tuple[Episode, ...], list[GateDecision]]:
    """Pass walks through the gate in their order; each is compared with what was kept before it.

    Args:
        rows: Candidate episodes.
        known: The map before them; it learns what is kept, so give a copy.
        config: Section ``gate``; ``gate.spatial`` holds the weights, ``gate.enforce`` refuses what fails.

    Raises:
        StoreError: The details of an episode are no walk.
    """
    weights = config.spatial
    largest = weights.novelty + weights.surprise + weights.reward + weights.pin
    judged, decisions = [], []
    for row in rows:
        walk = walk_of(row)
        decision = _decide(row, _parts(walk, known, weights.tolerance), weights)
        if decision.accepted or not config.enforce:
            known.observe(walk)
        judged.append(
            replace(
                row,
                surprise=decision.surprise,
                novelty=decision.novelty,
                gate_score=decision.score,
                accepted=decision.accepted,
                salience=decision.score / largest if largest > 0 else 0.0,
            )
        )
        decisions.append(decision)
    return tuple(judged), decisions


def _parts(walk: Walk, known: PlaceGraph, tolerance: float) -> _Parts:
    passages = [known.passage(start, goal) for start, goal, _, _ in walk.steps]
    old = [passage for passage in passages if passage is not None]
    places = set(known.places)
    new_route = len(walk.directions) > 1 and walk.places not in known.macros
    novelty = max(
        sum(place not in places for place in walk.places) / len(walk.places),
        1 - len(old) / len(passages),
        _NEW_ROUTE if new_route else 0.0,
    )
    surprise = _surprise(walk, passages, tolerance) if walk.reached else _surprise_of_failure(walk, known)
    return _Parts(novelty, surprise, old[0].episodes[0] if old else "")


def _surprise(walk: Walk, passages: Sequence[Passage | None], tolerance: float) -> float:
    """The largest surprise of the steps, 0 where nothing was expected."""
    surprises = [0.0]
    for passage, (_, _, direction, minutes) in zip(passages, walk.steps, strict=True):
        if passage is None:
            continue
        deviation = abs(minutes - passage.minutes) / passage.minutes
        surprises.append(1.0 if passage.direction != direction else 1.0 - math.exp(-deviation / tolerance))
    return max(surprises)


def _surprise_of_failure(walk: Walk, known: PlaceGraph) -> float:
    """How sure the walk seemed: the share of successes of its route; 1 where all its passages are known and no more."""
    macro = known.macros.get(walk.places)
    if macro is not None:
        return macro.successes / macro.count
    return float(all(known.passage(start, goal) is not None for start, goal, _, _ in walk.steps))


def _decide(row: Episode, parts: _Parts, config: SpatialGateConfig) -> GateDecision:
    reward, pin = float(row.reward), float(row.pin)
    earned = {
        "novel": config.novelty * parts.novelty,
        "surprising": config.surprise * parts.surprise,
        "rewarded": config.reward * reward,
        "pinned": config.pin * pin,
    }
    score = sum(earned.values())
    accepted = score > config.threshold
    refused = "duplicate" if parts.novelty == 0 and parts.surprise < _AS_EXPECTED else "weak"
    return GateDecision(
        session=row.session,
        episode_id=row.episode_id,
        nats=0.0,
        surprise=parts.surprise,
        novelty=parts.novelty,
        reward=reward,
        pin=pin,
        score=score,
        accepted=accepted,
        reason=max(earned, key=lambda name: earned[name]) if accepted else refused,
        nearest=parts.nearest,
        kind="spatial",
    )
