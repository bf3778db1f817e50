"""Worst first: the largest losses for certain, others by chance, none twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.replay.worst_first import moving_average, worst_first


@given(
    losses=st.lists(st.floats(0, 10), min_size=1, max_size=60),
    top=st.floats(0, 1),
    extra=st.floats(0, 1),
    floor=st.floats(0, 1),
)
def test_the_worst_are_among_the_chosen_and_nothing_comes_twice(
    losses: list[float], top: float, extra: float, floor: float
) -> None:
    values = np.asarray(losses)
    chosen = worst_first(values, top, extra, floor, np.random.default_rng(0))
    certain = round(top * len(values))
    assert len(set(chosen.tolist())) == len(chosen)
    assert len(chosen) == certain + min(round(extra * len(values)), len(values) - certain)
    left = np.setdiff1d(np.arange(len(values)), chosen)
    assert sum(values[i] >= values[left].max(initial=0) for i in chosen) >= certain


@pytest.mark.parametrize(("floor", "share"), [(0.0, 0.9), (1.0, 0.1)])
def test_others_are_drawn_by_their_loss_above_an_even_floor(floor: float, share: float) -> None:
    losses = np.array([9.0] + [1 / 9] * 9)
    hits = sum(0 in worst_first(losses, 0.0, 0.1, floor, np.random.default_rng(seed)) for seed in range(2000))
    assert hits / 2000 == pytest.approx(share, abs=0.03)


def test_without_losses_the_draw_is_even() -> None:
    drawn = [int(worst_first(np.zeros(4), 0.0, 0.25, 0.0, np.random.default_rng(s))[0]) for s in range(400)]
    assert set(drawn) == {0, 1, 2, 3}


def test_moving_averages_keep_their_momentum() -> None:
    assert moving_average(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 0.75).tolist() == [0.75, 0.25]
