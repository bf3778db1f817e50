"""Traces are what a loop over the steps leaves."""

from __future__ import annotations

import pytest
import torch

from pipeline.plasticity.traces import BLOCK, ahead, decay, earlier, trace
from tests.plasticity.spikes import spikes


@pytest.mark.parametrize("steps", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
@pytest.mark.parametrize("factor", [0.0, 0.5, 0.95, 0.999])
def test_traces_are_those_of_a_loop(steps: int, factor: float) -> None:
    fired, before = spikes(steps, 2, 3, seed=steps), torch.rand(2, 3)
    left, expected, just_before = before, [], []
    for now in fired:
        just_before.append(left * factor)
        left = left * factor + now
        expected.append(left)
    found = trace(fired, factor, before)
    torch.testing.assert_close(found, torch.stack(expected))
    torch.testing.assert_close(earlier(found, factor, before), torch.stack(just_before))


def test_either_side_of_a_product_may_be_filtered() -> None:
    pre, post = spikes(150, 2, 3, 1), spikes(150, 2, 4, 2)
    one = torch.einsum("tbo,tbi->oi", post, trace(pre, 0.9))
    torch.testing.assert_close(one, torch.einsum("tbo,tbi->oi", ahead(post, 0.9), pre))


def test_what_is_left_after_a_step() -> None:
    assert decay(20.0, 2.0, "euler") == pytest.approx(0.9)
    assert decay(20.0, 2.0, "exponential") == pytest.approx(0.904837418)
    assert float(decay(torch.tensor(20.0), 2.0, "exponential")) == pytest.approx(0.904837418)
