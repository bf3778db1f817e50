"""Whether a model may become champion; figures come from validation keys and text alone."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.config.sleepwake_flow import SleepWakeGuardsConfig
from pipeline.evaluation.guards import Verdict

_ROUNDING = 1e-9  # a figure on the threshold passes

AT_MOST = ("nats", "drift")
"""Guards whose figure must not be above the threshold; all others must not be below it."""


def verdicts(figures: Mapping[str, float | None], config: SleepWakeGuardsConfig) -> list[Verdict]:
    """Judge every guard that has a threshold; a figure that was not measured never passes.

    Args:
        figures: ``nats``, ``memory_gain``, ``recall``, ``retention``, ``drift``.
        config: Section ``guards``.
    """
    rules = (
        ("nats", config.nats_max),
        ("memory_gain", config.memory_gain_min),
        ("recall", config.recall_min),
        ("retention", config.retention_min),
        ("drift", config.drift_max),
    )
    judged = []
    for name, threshold in rules:
        if threshold is not None:
            value = figures.get(name)
            passed = value is not None and (
                value <= threshold + _ROUNDING if name in AT_MOST else value >= threshold - _ROUNDING
            )
            judged.append(Verdict(name=name, value=value, threshold=float(threshold), passed=passed))
    return judged
