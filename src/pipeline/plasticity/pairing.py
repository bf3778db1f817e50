"""The pairing protocol of visual cortex: sixty pairs at a frequency, and what was measured after them.

Measured by Sjöström, Turrigiano & Nelson (2001, Neuron 32:1149): mean change of the weight and its standard error, as
Pfister & Gerstner (2006) fitted them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from pipeline.plasticity.rule import Rule

PAIRS = 60
FREQUENCIES = (0.1, 10.0, 20.0, 40.0, 50.0)
"""Pairs a second."""
LAGS = (10.0, -10.0)
"""ms from the presynaptic to the postsynaptic spike of a pair."""
MEASURED = {
    10.0: ((-0.04, 0.05), (0.14, 0.1), (0.29, 0.14), (0.53, 0.11), (0.56, 0.26)),
    -10.0: ((-0.29, 0.08), (-0.41, 0.11), (-0.34, 0.1), (0.56, 0.32), (0.75, 0.19)),
}
"""By lag and in the order of the frequencies: change as a share of the weight, and its standard error."""


def pairing(rule: Rule, frequency: float, lag: float) -> float:
    """The change of a weight of 0 through the protocol.

    Args:
        rule: With a learning rate of 1 and reduction=sum, so that amplitudes are those of a spike.
        frequency: Pairs a second.
        lag: ms from the presynaptic to the postsynaptic spike.
    """
    step = rule.config.step_ms
    starts = torch.arange(PAIRS, dtype=torch.double) * (1000 / frequency)
    times = [starts + max(0.0, -lag), starts + max(0.0, lag)]
    steps = round(float(max(times[0][-1], times[1][-1])) / step) + 1
    pre, post = (torch.zeros(steps, 1, 1, dtype=torch.double) for _ in times)
    for train, at in zip((pre, post), times, strict=True):
        train[(at / step).round().long()] = 1
    change, _ = rule.change(torch.zeros(1, 1, dtype=torch.double), pre, post)
    return float(change)


def protocol(rule: Rule) -> dict[float, list[float]]:
    """The changes at all `FREQUENCIES`, by lag; see `pairing`."""
    return {lag: [pairing(rule, frequency, lag) for frequency in FREQUENCIES] for lag in LAGS}


def misfit(changes: Mapping[float, Sequence[float]]) -> float:
    """Mean squared distance of a `protocol` from what was measured, in standard errors: Pfister & Gerstner's E."""
    distances = [
        ((change - mean) / error) ** 2
        for lag in LAGS
        for change, (mean, error) in zip(changes[lag], MEASURED[lag], strict=True)
    ]
    return sum(distances) / len(distances)
