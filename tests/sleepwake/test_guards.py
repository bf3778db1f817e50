"""Guards: a figure on its threshold passes, one that was not measured never does."""

from __future__ import annotations

import pytest

from pipeline.config.sleepwake_flow import SleepWakeGuardsConfig
from pipeline.report.figures import AT_MOST as SHOWN
from pipeline.sleepwake.guards import AT_MOST, verdicts

FIGURES: dict[str, float | None] = {"nats": 2.0, "memory_gain": 0.3, "recall": 0.9, "retention": 0.8, "drift": 0.01}


def test_figures_on_their_thresholds_pass() -> None:
    assert all(verdict["passed"] for verdict in verdicts(FIGURES, SleepWakeGuardsConfig()))


@pytest.mark.parametrize("name", list(FIGURES))
def test_each_guard_can_fail_alone(name: str) -> None:
    worse = {**FIGURES, name: FIGURES[name] + (0.01 if name in AT_MOST else -0.01)}  # type: ignore[operator]
    for figures in (worse, {**FIGURES, name: None}):
        assert [told["name"] for told in verdicts(figures, SleepWakeGuardsConfig()) if not told["passed"]] == [name]


def test_a_guard_without_a_threshold_is_not_asked() -> None:
    assert "drift" not in [told["name"] for told in verdicts(FIGURES, SleepWakeGuardsConfig(drift_max=None))]
    assert SHOWN["sleepwake"] == AT_MOST
