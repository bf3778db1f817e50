"""Districts: their geometry against a brute force, and what the suite relies on."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.suites.maps import (
    DIRECTIONS,
    OFFSETS,
    PASSAGES,
    PLACES,
    SIDE,
    District,
    direction_aliases,
    draw_district,
    opposite,
)

NAMES = ("abbey", "ford", "kiosk", "knoll", "moat", "silo")
LABELS = st.integers(0, 10**6).map(str)


def shortest_ways(district: District, start: str, goal: str) -> list[tuple[str, ...]]:
    """Every way of the fewest steps, by trying all orders of all other places."""
    found: list[tuple[str, ...]] = []
    for length in range(PLACES - 1):
        for between in permutations([name for name in NAMES if name not in (start, goal)], length):
            way = (start, *between, goal)
            if all(district.direction(a, b) for a, b in pairwise(way)):
                found.append(way)
        if found:
            return found
    return found


@settings(max_examples=25, deadline=None)
@given(label=LABELS)
def test_a_district_is_whole_and_fits_its_grid(label: str) -> None:
    district = draw_district(NAMES, label)
    assert set(district.cells) == set(NAMES) and len(set(district.cells.values())) == PLACES
    assert all(0 <= east < SIDE and 0 <= north < SIDE for east, north in district.cells.values())
    assert len(district.minutes) == PASSAGES
    assert all(shortest_ways(district, a, b) for a, b in permutations(NAMES, 2))


@settings(max_examples=15, deadline=None)
@given(label=LABELS)
def test_routes_are_the_only_shortest_ways(label: str) -> None:
    district = draw_district(NAMES, label)
    for start, goal in permutations(NAMES, 2):
        ways = shortest_ways(district, start, goal)
        route = district.route(start, goal)
        assert route is None or ways == [route]
        assert (route is None) == (district.route(goal, start) is None)
    a, b, c, d = district.chain
    assert district.route(a, c) == (a, b, c) and district.route(b, d) == (b, c, d)
    assert {(a, c), (b, d)} <= set(district.far_pairs())


@settings(max_examples=15, deadline=None)
@given(label=LABELS)
def test_directions_lead_there_and_back(label: str) -> None:
    district = draw_district(NAMES, label)
    for start, goal in permutations(NAMES, 2):
        direction = district.direction(start, goal)
        if direction is None:
            assert district.direction(goal, start) is None
            continue
        east, north = OFFSETS[direction]
        assert (district.cells[start][0] + east, district.cells[start][1] + north) == district.cells[goal]
        assert district.direction(goal, start) == opposite(direction)
        assert district.time(start, goal) == district.time(goal, start)


def test_a_label_decides_the_district() -> None:
    assert draw_district(NAMES, "7") == draw_district(NAMES, "7")
    assert draw_district(NAMES, "7") != draw_district(NAMES, "8")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_aliases_name_no_other_direction(direction: str) -> None:
    others = {alias for name in DIRECTIONS if name != direction for alias in (name, *direction_aliases(name))}
    assert not {direction, *direction_aliases(direction)} & others
