"""The draw from a large store, at the size of a small one."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from pipeline.bench import benchmark
from pipeline.bench.replay import inclusion, successive_rates
from pipeline.config.benchmarks import ReplayBenchConfig

SMALL = ("rows=3000", "replay.max_items=200", "oracle_draws=300", "oracle_rows=6")


def test_the_table_names_every_sampler() -> None:
    figures = benchmark("replay")(SMALL)
    drawn = figures["200 of 3,000 rows"]
    assert isinstance(drawn, dict)
    for name in ("ours, from a store to a table", "ours, from weights", "numpy's choice, from weights"):
        assert drawn[name]["drawn"] == drawn[name]["distinct"] == 200 and drawn[name]["seconds"] > 0
    assert "torchrl's prioritised sampler" in {**figures, **drawn}
    assert figures["rates match"] == "yes"


@pytest.mark.parametrize("seed", range(5))
def test_inclusion_rates_match_theory_whatever_the_seed(seed: int) -> None:
    _, _, statistic, bound = inclusion(ReplayBenchConfig(seed=seed, oracle_rows=7, oracle_draws=1500))
    assert statistic < bound


def test_a_sampler_that_ignores_weights_would_be_found_out() -> None:
    config = ReplayBenchConfig(oracle_rows=7, oracle_draws=1500)
    expected, _, _, bound = inclusion(config)
    uniform = np.full(7, 2 / 7) - expected
    _, covariance = successive_rates(np.arange(1.0, 8.0), 2)
    assert 1500 * uniform[:-1] @ np.linalg.solve(covariance[:-1, :-1], uniform[:-1]) > bound


def test_rates_and_covariance_are_those_of_all_orders() -> None:
    """Oracle: every ordered draw with its probability."""
    weights, wanted = np.array([1.0, 2.0, 5.0, 0.5]), 2
    rates, pairs = np.zeros(4), np.zeros((4, 4))
    for order in permutations(range(4), wanted):
        chance, left = 1.0, weights.sum()
        for row in order:
            chance, left = chance * weights[row] / left, left - weights[row]
        rates[list(order)] += chance
        pairs[np.ix_(order, order)] += chance
    found, covariance = successive_rates(weights, wanted)
    np.testing.assert_allclose(found, rates)
    np.testing.assert_allclose(covariance, pairs - np.outer(rates, rates))
    assert found.sum() == pytest.approx(wanted)
