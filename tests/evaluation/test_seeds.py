"""Means over seeds: Student's interval, and none for a single seed."""

from __future__ import annotations

import pytest

from pipeline.evaluation.seeds import mean_over_seeds


def test_means_have_student_s_interval() -> None:
    mean = mean_over_seeds([0.8, 0.9, 1.0])
    assert mean.value == pytest.approx(0.9)
    assert mean.margin == pytest.approx(4.3027 * 0.1 / 3**0.5, abs=1e-4)  # t for two degrees of freedom
    assert str(mean) == "90.0 ± 24.8" and str(mean_over_seeds([0.5])) == "50.0"
