"""Whether a network may become champion; figures come from validation images alone."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.config.columns import ColumnGuardsConfig
from pipeline.evaluation.guards import Verdict

_ROUNDING = 1e-9  # a figure on the threshold passes


def verdicts(figures: Mapping[str, float], config: ColumnGuardsConfig) -> list[Verdict]:
    """Judge the smallest accuracy after sleep, and the losses through sleep and through later learning."""
    rules = (
        ("accuracy", config.accuracy_min, figures["accuracy"] >= config.accuracy_min - _ROUNDING),
        ("sleep_drop", config.sleep_drop_max, figures["sleep_drop"] <= config.sleep_drop_max + _ROUNDING),
        ("wake_drop", config.wake_drop_max, figures["wake_drop"] <= config.wake_drop_max + _ROUNDING),
    )
    return [
        Verdict(name=name, value=figures[name], threshold=threshold, passed=passed) for name, threshold, passed in rules
    ]
