"""Whether a network may become champion; figures come from validation images alone."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.config.liquid import PlasticityGuardsConfig
from pipeline.evaluation.guards import Verdict

_ROUNDING = 1e-9  # a figure on the threshold passes


def verdicts(figures: Mapping[str, float], config: PlasticityGuardsConfig) -> list[Verdict]:
    """Judge the average accuracy at the end, and what was forgotten on the way if there was more than one task."""
    accuracy, forgotten = figures["average_accuracy"], figures.get("forgetting")
    rules = [("average_accuracy", config.average_accuracy_min, accuracy >= config.average_accuracy_min - _ROUNDING)]
    if forgotten is not None:
        rules.append(("forgetting", config.forgetting_max, forgotten <= config.forgetting_max + _ROUNDING))
    return [
        Verdict(name=name, value=figures[name], threshold=threshold, passed=passed) for name, threshold, passed in rules
    ]
