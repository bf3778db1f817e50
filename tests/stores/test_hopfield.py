from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stores.hopfield import complete


def patterns(n: int = 50, dimension: int = 128, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(st.integers(0, 49), st.integers(0, 1000))
def test_a_cue_with_half_its_dimensions_masked_is_completed(which: int, seed: int) -> None:
    stored = patterns()
    cue = stored[which].copy()
    cue[np.random.default_rng(seed).permutation(128)[:64]] = 0
    completed, shares = complete(cue, stored, beta=32)
    assert int(shares.argmax()) == which
    assert completed @ stored[which] > 0.99 > cue @ stored[which] / np.linalg.norm(cue)


def test_a_noisy_cue_moves_to_its_pattern() -> None:
    stored = patterns()
    cue = stored[7] + 0.06 * np.random.default_rng(1).standard_normal(128).astype(np.float32)
    completed, _ = complete(cue, stored, beta=32)
    assert completed @ stored[7] > 0.99


def test_one_step_is_the_softmax_average() -> None:
    stored, cue = patterns(5), patterns(1, seed=9)[0]
    weights = np.exp(3.0 * stored.astype(np.float64) @ cue)
    weights /= weights.sum()
    completed, shares = complete(2 * cue, stored, beta=3.0)  # the length of the cue does not matter
    np.testing.assert_allclose(shares, weights, rtol=1e-4)
    np.testing.assert_allclose(completed, weights @ stored / np.linalg.norm(weights @ stored), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("cue", "stored"), [(np.zeros(4), np.eye(4)), (np.ones(4), np.zeros((0, 4)))])
def test_nothing_to_complete_is_an_error(cue: np.ndarray, stored: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected at least one pattern"):
        complete(cue.astype(np.float32), stored.astype(np.float32), 1.0)
