"""Triplets: the published equations spike by spike, and the published dependence on frequency."""

from __future__ import annotations

import math

import pytest
import torch

from pipeline.plasticity.pairing import LAGS, MEASURED, misfit, protocol
from pipeline.plasticity.rules.triplet import FITS
from tests.plasticity.spikes import spikes, summing


def by_events(pre: list[float], post: list[float], c: dict[str, float]) -> float:
    """Pfister & Gerstner's equations 1 to 4, event by event; times in ms, none of both sides alike."""
    r1 = r2 = o1 = o2 = weight = now = 0.0
    for time, side in sorted([(t, "pre") for t in pre] + [(t, "post") for t in post]):
        r1, r2 = r1 * math.exp((now - time) / c["tau_plus"]), r2 * math.exp((now - time) / c["tau_x"])
        o1, o2 = o1 * math.exp((now - time) / c["tau_minus"]), o2 * math.exp((now - time) / c["tau_y"])
        now = time
        if side == "pre":
            weight -= o1 * (c["a2_minus"] + c["a3_minus"] * r2)
            r1, r2 = r1 + 1, r2 + 1
        else:
            weight += r1 * (c["a2_plus"] + c["a3_plus"] * o2)
            o1, o2 = o1 + 1, o2 + 1
    return weight


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("carry", [False, True])
def test_the_change_is_that_of_the_published_equations(fit: str, carry: bool) -> None:
    pre, post = spikes(200, 1, 3, 1, rate=0.1).double(), spikes(200, 1, 4, 2, rate=0.1).double()
    for one, other in ((o, i) for o in range(4) for i in range(3)):  # no step at which both sides fire
        post[:, 0, one] *= 1 - pre[:, 0, other]
    constants = FITS[fit].model_dump()
    rule = summing("triplet", carry=carry, step_ms=2.0, triplet=constants)
    weight = torch.zeros(4, 3, dtype=torch.double)
    change, state = rule.change(weight, pre[:90], post[:90])
    if carry:
        change = change + rule.change(weight, pre[90:], post[90:], state)[0]
    until = 200 if carry else 90
    for one, other in ((o, i) for o in range(4) for i in range(3)):
        times = [[2.0 * t for t in range(until) if fired[t, 0, n]] for fired, n in ((pre, other), (post, one))]
        assert float(change[one, other]) == pytest.approx(by_events(*times, constants), abs=1e-12)


@pytest.mark.parametrize("fit", ["visual cortex, full", "visual cortex, minimal"])
def test_potentiation_rises_with_the_frequency_of_pairs_as_measured(fit: str) -> None:
    rule = summing("triplet", triplet=FITS[fit].model_dump())
    change = protocol(rule)
    assert change[10.0] == sorted(change[10.0]) and change[10.0][-1] > 0.4
    assert change[-10.0][0] < 0 and change[-10.0][2] < 0 < change[-10.0][3] < change[-10.0][4]
    for lag in LAGS:
        for found, (mean, deviation) in zip(change[lag], MEASURED[lag], strict=True):
            assert abs(found - mean) < 2 * deviation
    assert misfit(change) < 0.5


def test_pairs_alone_do_not_depend_on_frequency_that_way() -> None:
    pairs = summing("pair", pair={"tau_plus": 16.8, "tau_minus": 33.7, "a_plus": 0.006, "a_minus": 0.005})
    change = protocol(pairs)
    assert change[10.0][-1] < change[10.0][0] and misfit(change) > 5
