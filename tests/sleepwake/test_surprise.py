"""Events keep their rate whatever the scale; what stands out is one; what comes later does not matter."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.config.sleepwake import SurpriseConfig
from pipeline.sleepwake.surprise import SurpriseDetector


def norms(count: int = 10_000, seed: int = 0, scale: float = 1.0) -> list[float]:
    """Log-normal, as gradient norms are: far from a normal distribution's tail."""
    return [float(norm) for norm in scale * np.random.default_rng(seed).lognormal(0, 1, count)]


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.2])
@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e4])
def test_the_rate_is_kept_at_every_scale(rate: float, scale: float) -> None:
    judged = SurpriseDetector(SurpriseConfig(rate=rate)).judge_all(norms(scale=scale))
    assert np.mean([one.event for one in judged[2000:]]) == pytest.approx(rate, rel=0.25)


def test_z_is_judged_by_those_before() -> None:
    given, detector = norms(50), SurpriseDetector(SurpriseConfig())
    judged = detector.judge_all(given)
    assert [one.z for one in judged[:2]] == [0.0, 0.0]
    for place in (2, 10, 49):  # below 1 / (1 - memory) observations the mean is a plain one
        earlier = np.array(given[:place])
        assert judged[place].z == pytest.approx((given[place] - earlier.mean()) / earlier.std())
    again = SurpriseDetector(SurpriseConfig()).judge_all([*given[:40], *[1e6] * 10])
    assert again[:40] == judged[:40]


def test_what_stands_out_is_an_event_and_what_does_not_is_none() -> None:
    detector = SurpriseDetector(SurpriseConfig())
    calm = np.random.default_rng(1).normal(10, 0.1, 200)
    detector.judge_all(float(norm) for norm in calm)
    assert detector.judge(20.0).event
    assert not SurpriseDetector(SurpriseConfig()).judge(20.0).event  # nothing is known yet
    same = SurpriseDetector(SurpriseConfig()).judge_all([1.0] * 100)
    assert not any(one.event for one in same)


def test_old_norms_fade() -> None:
    detector = SurpriseDetector(SurpriseConfig(memory=0.9))
    detector.judge_all([*norms(500), *norms(500, scale=100.0)])
    assert detector.mean > 50


@pytest.mark.parametrize("norm", [float("nan"), float("inf")])
def test_norms_that_are_not_finite_are_refused(norm: float) -> None:
    with pytest.raises(ValueError, match="finite gradient norm"):
        SurpriseDetector(SurpriseConfig()).judge(norm)
