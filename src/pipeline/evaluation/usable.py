"""How usable what was learned is: verified, asked the other way round, told freely, and followed up.

A free text is scored slot by slot against what its fact says: named, or contradicted by another value that the suite
has for such a slot while the right one is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.arms import USE_ARMS, VERDICT_ARMS
from pipeline.evaluation.bootstrap import mean_interval
from pipeline.evaluation.scoring import normalise
from pipeline.suites.scenes import Scene, spellings
from pipeline.suites.types import NO, YES, Fact, Use
from pipeline.suites.uses import FactsInUse, told_slots

SCORED: tuple[Use, ...] = ("yes_no", "reversed", "implied")


def values_in(text: str, values: Iterable[str]) -> set[str]:
    """Which values stand in a text as whole words, normalised; a longer one hides those that it holds."""
    rest, found = f" {normalise(text)} ", set()
    for value in sorted({normalise(value) for value in values} - {""}, key=lambda value: (-len(value), value)):
        if f" {value} " in rest:
            found.add(value)
            rest = rest.replace(f" {value} ", " \n ")
    return found


def told(text: str, scene: Scene, values: Mapping[str, Sequence[str]]) -> tuple[float, float]:
    """The shares of a scene's slots that a text names, and that it contradicts.

    Args:
        text: A free text about the scene's subject.
        scene: What is right.
        values: By slot, every value that the suite has for it, in every spelling.
    """
    named = contradicted = 0
    slots = told_slots(scene.relation)
    for slot in slots:
        right = {normalise(value) for value in spellings(slot, scene.slots[slot])}
        found = values_in(text, [*values.get(slot, ()), *right])
        named += bool(found & right)
        contradicted += bool(found) and not found & right
    return named / len(slots), contradicted / len(slots)


def slot_values(scenes: Iterable[Scene]) -> dict[str, list[str]]:
    """Every value of every slot that free texts are scored by, in every spelling."""
    values: dict[str, list[str]] = defaultdict(list)
    for scene in scenes:
        for slot, value in scene.values.items():
            values[slot] += spellings(slot, value)
    return values


def usable_figures(
    answers: pa.Table, facts: Sequence[Fact], resamples: int = 2000, seed: int = 1337
) -> dict[str, Any] | None:
    """The figures of every use that was asked after the night.

    Args:
        answers: `pipeline.evaluation.answers.ANSWERS_SCHEMA`.
        facts: What was taught.
        resamples: Bootstrap samples of each interval.
        seed: Of the bootstrap.

    Returns:
        ``{yes_no, reversed, implied, tell_recall, tell_contradicted}``, each ``{value, ci95, n, prior, prior_n}``:
        test forms after the night, and what the base scored on those that it was asked too. Where the gold is yes or
        no, ``by_gold`` has the share right of each. None without any such question.
    """
    figures: dict[str, Any] = {}
    for use in SCORED:
        before, after, _ = USE_ARMS[use]
        scores = {arm: _scores(_rows(answers, arm)) for arm in (before, after)}
        figures[use] = _figure(scores[before], scores[after], resamples, seed)
        if figures[use] and after in VERDICT_ARMS:
            figures[use] |= {"by_gold": _by_gold(_rows(answers, after))}
    before, after, _ = USE_ARMS["tell"]
    shares = {arm: _told_shares(_rows(answers, arm), facts) for arm in (before, after)}
    for which, name in enumerate(("tell_recall", "tell_contradicted")):
        sides = [[(item, share[which]) for item, share in shares[arm]] for arm in (before, after)]
        figures[name] = _figure(sides[0], sides[1], resamples, seed)
    return {name: figure for name, figure in figures.items() if figure} or None


def _rows(answers: pa.Table, arm: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = answers.filter(pc.field("arm") == arm).to_pylist()
    return rows


def _scores(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, float]]:
    return [(row["item_id"], row["em"]) for row in rows]


def _told_shares(rows: Sequence[Mapping[str, Any]], facts: Sequence[Fact]) -> list[tuple[str, tuple[float, float]]]:
    if not rows:
        return []
    scenes = FactsInUse(facts).scenes
    values = slot_values(scenes.values())
    return [(row["item_id"], told(row["answer"], scenes[row["item_id"]], values)) for row in rows]


def _by_gold(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Share of right answers where yes is right, and where no is."""
    by_gold = {gold: [row["em"] for row in rows if row["gold"] == gold] for gold in (YES, NO)}
    return {gold.lower(): sum(scores) / len(scores) for gold, scores in by_gold.items() if scores}


def _figure(
    before: Sequence[tuple[str, float]], after: Sequence[tuple[str, float]], resamples: int, seed: int
) -> dict[str, Any] | None:
    """Means of (fact, score) rows after and before the night; None without any after it."""
    if not after:
        return None
    items, scores = [item for item, _ in after], np.array([score for _, score in after])
    return {
        "value": float(scores.mean()),
        "ci95": mean_interval(scores, items, resamples, seed),
        "n": len(after),
        "prior": sum(score for _, score in before) / len(before) if before else None,
        "prior_n": len(before),
    }
