from __future__ import annotations

import pytest
import torch

from pipeline.continual.paired import mean_difference


def test_a_difference_is_paired_and_its_interval_shrinks_with_images() -> None:
    ours = {"a": torch.tensor([True, True, True, False]), "b": torch.tensor([True, True])}
    others = {"a": torch.tensor([True, True, False, False]), "b": torch.tensor([True, False])}
    mean, (low, high) = mean_difference(ours, others)
    spread = 1.96 * ((0.25 * 0.75 / 4 + 0.5 * 0.5 / 2) / 4) ** 0.5
    assert mean == pytest.approx(0.375) and (low, high) == pytest.approx((mean - spread, mean + spread))
    assert mean_difference(ours, ours) == (0, (0, 0))
    many = {task: right.repeat(100) for task, right in ours.items()}
    few = {task: right.repeat(100) for task, right in others.items()}
    again, (lower, upper) = mean_difference(many, few)
    assert again == pytest.approx(mean) and upper - lower == pytest.approx((high - low) / 10)
