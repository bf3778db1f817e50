"""Figures of an accuracy matrix, by hand."""

from __future__ import annotations

import pytest

from pipeline.plasticity.measures import average_accuracy, backward_transfer, forgetting, forward_transfer

AFTER = [[0.9, 0.2, 0.1], [0.7, 0.8, 0.3], [0.8, 0.6, 0.9]]


def test_figures_of_a_matrix() -> None:
    assert average_accuracy(AFTER) == pytest.approx((0.8 + 0.6 + 0.9) / 3)
    assert forgetting(AFTER) == pytest.approx((0.1 + 0.2) / 2)  # best earlier minus last
    assert backward_transfer(AFTER) == pytest.approx((-0.1 - 0.2) / 2)
    assert forward_transfer(AFTER, [0.5, 0.1, 0.2]) == pytest.approx((0.1 + 0.1) / 2)


def test_one_task_forgets_nothing() -> None:
    assert forgetting([[0.9]]) == backward_transfer([[0.9]]) == forward_transfer([[0.9]], [0.1]) == 0.0
