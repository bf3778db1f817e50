"""Nested figures as flat names, the same dotted ones as in ``report.json``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_\-. :/]")
FINE = (
    "by_form", "by_relation", "by_gold", "by_rule", "by_half", "by_panel", "kl_by_domain", "ci95", "em_ci95",
)  # fmt: skip
"""Parts of the names of figures that one night is read by, and nights are not compared by."""
BESIDE = ("contains", "f1", "n", "prior_n", "overlong_rate", "refusal_rate", "threshold")
"""Last parts of such names in groups: they stand beside the figure that counts."""
HEADLINES = (
    "arms.post_off_heldout.em", "arms.post_off.em", "sanity.delta", "drift.kl_base", "takeover", "promoted",
    "accuracy.after_sleep",
)  # fmt: skip
"""Logged first: MLflow's pages open with the first figures of a run."""
PARAM_LENGTH = 6000  # MLflow's limit of a parameter value, characters


def metric_name(name: str) -> str:
    """The name with what MLflow does not allow replaced by ``_``."""
    return _FORBIDDEN.sub("_", name)


def flat_metrics(figures: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Every finite number of nested figures by its dotted name.

    Booleans become 0 or 1, an interval becomes ``.low`` and ``.high``, and rows with a ``name`` (guards) go under their
    name. Texts, and figures that were not measured, are left out.
    """
    flat: dict[str, float] = {}
    for key, value in figures.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            flat |= flat_metrics(value, name)
        elif isinstance(value, int | float) and math.isfinite(value):
            flat[metric_name(name)] = float(value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            flat |= _flat_sequence(value, name)
    return flat


def split_fine(metrics: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Figures by which nights compare, headlines first, and finer ones.

    MLflow's comparison takes seconds to draw hundreds of rows, among which nobody finds what differs.
    """
    names = [name for name in metrics if _is_fine(name.split("."))]
    fine = {name: metrics[name] for name in names}
    rest = {name: value for name, value in metrics.items() if name not in names}
    first = {name: rest[name] for name in HEADLINES if name in rest}
    return first | rest, fine


def _is_fine(parts: Sequence[str]) -> bool:
    beside = len(parts) > 2 and parts[-1] in BESIDE
    return beside or any(part in FINE for part in parts[:-1])


def _flat_sequence(values: Sequence[Any], name: str) -> dict[str, float]:
    if len(values) == 2 and all(isinstance(bound, int | float) for bound in values):
        return flat_metrics({"low": values[0], "high": values[1]}, name)
    rows = {row["name"]: {k: v for k, v in row.items() if k != "name"} for row in values if _is_named(row)}
    return flat_metrics(rows, name)


def _is_named(row: Any) -> bool:
    return isinstance(row, Mapping) and "name" in row


def flat_params(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Every setting of a nested configuration as text by its dotted name."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping) and value:
            flat |= flat_params(value, name)
        else:
            flat[metric_name(name)] = str(value)[:PARAM_LENGTH]
    return flat
