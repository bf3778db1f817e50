"""Whether a model may become champion; figures come from validation sequences alone."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.config.needle import NeedleGuardsConfig
from pipeline.evaluation.guards import Verdict

_ROUNDING = 1e-9  # a figure on the threshold passes

AT_MOST = ("collisions", "gate.open_fraction_most", "gate.lambda_max", "significant_drops")
"""Guards whose figure must not be above the threshold; all others must not be below it."""


def verdicts(figures: Mapping[str, float | None], config: NeedleGuardsConfig) -> list[Verdict]:
    """Judge every guard that has a threshold; a figure that was not measured never passes.

    Args:
        figures: ``accuracy``, ``cosine.write``, ``cosine.read_clean``, ``collisions``, ``gate.open_fraction``,
            ``gate.lambda_max``, ``significant_drops``.
        config: Section ``guards``.
    """
    rules = (
        ("accuracy", "accuracy", config.accuracy_min),
        ("cosine.write", "cosine.write", config.write_cosine_min),
        ("cosine.read_clean", "cosine.read_clean", config.read_cosine_min),
        ("collisions", "collisions", config.collisions_max),
        ("gate.open_fraction", "gate.open_fraction", config.open_fraction_min),
        ("gate.open_fraction_most", "gate.open_fraction", config.open_fraction_max),
        ("gate.lambda_max", "gate.lambda_max", config.lambda_max),
        ("significant_drops", "significant_drops", config.significant_drops_max),
    )
    judged = []
    for name, figure, threshold in rules:
        if threshold is not None:
            value = figures.get(figure)
            passed = value is not None and (
                value <= threshold + _ROUNDING if name in AT_MOST else value >= threshold - _ROUNDING
            )
            judged.append(Verdict(name=name, value=value, threshold=float(threshold), passed=passed))
    return judged
