"""Which gradients of the associative memory are events: z-scores above a threshold that keeps a rate.

An absolute threshold means nothing, since the norm depends on sizes and on how far training is. A norm s is judged by
the mean and deviation of those before it, z = (s − mean) / σ; it is an event if z is above τ. After each one τ moves by
gain · (event − rate), whose fixed point is the quantile 1 − rate of z (Robbins & Monro 1951,
doi:10.1214/aoms/1177729586; used for quantiles by Gibbs & Candès 2021, arXiv:2106.00170).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.config.sleepwake import SurpriseConfig

_LEAST_DEVIATION = 1e-8


@dataclass(frozen=True)
class Judged:
    """One observation.

    Attributes:
        z: Deviations above the mean of those before it; 0 while there are fewer than two.
        event: Whether it was surprising.
    """

    z: float
    event: bool


class SurpriseDetector:
    """Running statistics of gradient norms; four numbers, and nothing of what a sequence held.

    Args:
        config: Rate, decay and gain.
    """

    def __init__(self, config: SurpriseConfig) -> None:
        self.config = config
        self.threshold = config.threshold
        self.count = 0
        self.mean = 0.0
        self.variance = 0.0

    def judge(self, norm: float) -> Judged:
        """Judge a norm by those before it, then take it in.

        Raises:
            ValueError: It is not finite.
        """
        if not math.isfinite(norm):
            raise ValueError(f"expected a finite gradient norm, found {norm}")
        known = self.count > 1
        z = (norm - self.mean) / max(math.sqrt(self.variance), _LEAST_DEVIATION) if known else 0.0
        event = known and z > self.threshold
        if known:
            self.threshold += self.config.gain * (event - self.config.rate)
        self._take_in(norm)
        return Judged(z, event)

    def judge_all(self, norms: Iterable[float]) -> list[Judged]:
        """Judge several in order."""
        return [self.judge(norm) for norm in norms]

    def _take_in(self, norm: float) -> None:
        """A plain mean and variance of the first observations, which then fades with ``memory``."""
        self.count += 1
        share = max(1 / self.count, 1 - self.config.memory)
        apart = norm - self.mean
        self.mean += share * apart
        self.variance = (1 - share) * (self.variance + share * apart**2)
