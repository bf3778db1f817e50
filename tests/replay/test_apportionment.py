from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.replay import apportion

KINDS = ("episodic", "relational", "spatial")
MIX = {"episodic": 0.6, "relational": 0.3, "spatial": 0.1}
PLENTY = dict.fromkeys(KINDS, 1000)


@pytest.mark.parametrize(
    ("total", "expected"), [(10, (6, 3, 1)), (1, (1, 0, 0)), (2, (1, 1, 0)), (13, (8, 4, 1)), (0, (0, 0, 0))]
)
def test_largest_remainders(total: int, expected: tuple[int, ...]) -> None:
    assert tuple(apportion(total, MIX, PLENTY).values()) == expected


def test_an_absent_kind_leaves_its_share_to_the_others() -> None:
    assert apportion(9, MIX, {"episodic": 50, "relational": 50}) == {"episodic": 6, "relational": 3}
    assert apportion(50, MIX, {"episodic": 50}) == {"episodic": 50}


def test_a_full_kind_leaves_the_rest_to_the_others() -> None:
    assert apportion(10, MIX, {"episodic": 2, "relational": 90, "spatial": 90}) == {
        "episodic": 2,
        "relational": 6,
        "spatial": 2,
    }


@given(
    st.integers(0, 200),
    st.tuples(*[st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0])] * 3),
    st.tuples(*[st.integers(0, 60)] * 3),
)
def test_everything_that_fits_is_given(total: int, mix: tuple[float, ...], room: tuple[int, ...]) -> None:
    shares, capacity = dict(zip(KINDS, mix, strict=True)), dict(zip(KINDS, room, strict=True))
    given_out = apportion(total, shares, capacity)
    assert all(0 <= given_out[kind] <= capacity[kind] for kind in KINDS)
    assert all(given_out[kind] == 0 for kind in KINDS if shares[kind] == 0)
    assert sum(given_out.values()) == min(total, sum(capacity[kind] for kind in KINDS if shares[kind] > 0))
