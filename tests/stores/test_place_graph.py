"""The learned map against brute force: running means, cheapest ways, and routes with their statistics."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StoreError
from pipeline.stores.place_graph import PlaceGraph
from pipeline.stores.walks import Walk, walk_of
from tests.stores.walking import walk

MINUTES = st.floats(0.5, 60)
PLACES = ("a", "b", "c", "d", "e")


def learned(*rows: tuple[str, str, list[float], bool]) -> PlaceGraph:
    return PlaceGraph.of(walk_of(walk(name, way, times, reached=reached)) for name, way, times, reached in rows)


@given(times=st.lists(MINUTES, min_size=1, max_size=8))
def test_the_cost_of_a_passage_is_the_mean_of_its_times(times: list[float]) -> None:
    known = PlaceGraph.of(walk_of(walk(f"e{i}", "mill north chapel", [t])) for i, t in enumerate(times))
    passage = known.passage("mill", "chapel")
    assert passage is not None and passage.count == len(times) and passage.direction == "north"
    assert passage.minutes == pytest.approx(np.mean(times))
    assert known.passage("chapel", "mill") is None, "the way back is another passage"


@given(st.dictionaries(st.sampled_from(sorted(permutations(PLACES, 2))), MINUTES, min_size=1, max_size=12))
def test_a_plan_is_the_cheapest_way(costs: dict[tuple[str, str], float]) -> None:
    steps = enumerate(costs.items())
    known = PlaceGraph.of(Walk(pair, ("north",), (cost,), True, f"e{i}") for i, (pair, cost) in steps)
    for start, goal in permutations(PLACES, 2):
        between = [name for name in PLACES if name not in (start, goal)]
        ways = [(start, *mid, goal) for k in range(len(between) + 1) for mid in permutations(between, k)]
        possible = [sum(costs[p] for p in pairwise(way)) for way in ways if all(p in costs for p in pairwise(way))]
        plan = known.plan(start, goal)
        assert (plan is None) == (not possible)
        if plan is not None:
            assert plan.minutes == pytest.approx(min(possible))
            assert [plan.passages[0].start, plan.passages[-1].goal] == [start, goal]


def test_a_route_is_remembered_with_its_successes() -> None:
    way = "mill north chapel east bakery"
    known = learned(("r1", way, [4, 5], True), ("r2", way, [6, 7], True), ("r3", way, [2, 1], False))
    macro = known.macros["mill", "chapel", "bakery"]
    assert (macro.count, macro.successes, macro.minutes) == (3, 2, 11.0)
    assert macro.expected_minutes == pytest.approx(16.5) and macro.episodes == ("r1", "r2", "r3")
    passage = known.passage("mill", "chapel")
    assert passage is not None and passage.count == 2, "a walk that failed teaches no passage"


def test_a_proven_route_is_planned_unless_another_way_is_cheaper() -> None:
    proven = ("r1", "mill north chapel east bakery", [4, 5], True)
    plan = learned(proven).plan("mill", "bakery")
    assert plan is not None and plan.macro is not None and plan.episodes[0] == "r1"
    shortcut = ("s", "mill northeast bakery", [3.0], True)
    cheaper = learned(proven, shortcut).plan("mill", "bakery")
    assert cheaper is not None and cheaper.macro is None and len(cheaper.passages) == 1
    failures = [(f"f{i}", "mill north chapel east bakery", [1, 1], False) for i in range(5)]
    risky = learned(proven, *failures, ("s", "mill northeast bakery", [20.0], True)).plan("mill", "bakery")
    assert risky is not None and risky.macro is not None, "a failed route still costs no more than its parts"


def test_directions_are_followed_step_by_step() -> None:
    known = learned(("e0", "mill north chapel", [4], True), ("e1", "chapel east bakery", [5], True))
    plan = known.follow("mill", ["north", "east"])
    assert plan is not None and [p.goal for p in plan.passages] == ["chapel", "bakery"]
    assert known.follow("mill", ["east"]) is None and known.follow("barn", ["north"]) is None
    assert known.plan("mill", "barn") is None and known.plan("mill", "mill") is None


def test_the_shortest_walk_speaks_for_a_passage() -> None:
    known = learned(("long", "mill north chapel east bakery", [4, 5], True), ("short", "mill north chapel", [4], True))
    passage = known.passage("mill", "chapel")
    assert passage is not None and passage.episodes == ("short", "long")


@pytest.mark.parametrize(
    ("details", "why"),
    [
        ("", "JSONDecodeError"),
        ('{"places": ["mill"], "directions": [], "minutes": []}', "two or more places"),
        ('{"places": ["mill", "chapel"], "directions": ["north"], "minutes": [0]}', "above 0"),
        ('{"places": ["mill", "chapel"], "directions": ["north"]}', "minutes"),
        ('{"places": "mill", "directions": ["north"], "minutes": [1]}', "list of names"),
        ("[1]", "TypeError"),
    ],
)
def test_details_that_are_no_walk_are_named(details: str, why: str) -> None:
    with pytest.raises(StoreError, match=why):
        walk_of(replace(walk("e7", "mill north chapel", [4]), details=details))
