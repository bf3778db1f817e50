"""Intervals against brute force, and against what is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import difference_interval, mean_interval, resampled_means


def brute_force(scores: list[float], facts: list[str], resamples: int, seed: int) -> np.ndarray:
    """Facts, then forms within the fact, with plain loops."""
    generator = np.random.default_rng(seed)
    groups = [[s for s, f in zip(scores, facts, strict=True) if f == name] for name in sorted(set(facts))]
    means = []
    for _ in range(resamples):
        drawn: list[float] = []
        for index in generator.integers(len(groups), size=len(groups)):
            drawn += list(generator.choice(groups[index], size=len(groups[index])))
        means.append(np.mean(drawn))
    return np.array(means)


def test_distribution_is_that_of_brute_force() -> None:
    generator = np.random.default_rng(5)
    facts = [f"f{i}" for i in range(12) for _ in range(1 + i % 4)]
    scores = generator.random(len(facts)).round(1)
    fast = resampled_means(scores, facts, 6000, 1)
    slow = brute_force(list(scores), facts, 6000, 2)
    assert fast.mean() == pytest.approx(slow.mean(), abs=0.005)
    assert fast.std() == pytest.approx(slow.std(), rel=0.05)
    assert np.quantile(fast, [0.025, 0.975]) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.015)


def test_forms_of_one_fact_do_not_narrow_the_interval() -> None:
    """Ten facts asked twenty times each, all or nothing: the spread is that of ten coins, not of two hundred."""
    facts = [f"f{i}" for i in range(10) for _ in range(20)]
    scores = np.array([float(i % 2) for i in range(10) for _ in range(20)])
    assert resampled_means(scores, facts, 4000, 3).std() == pytest.approx(np.sqrt(0.25 / 10), rel=0.06)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=30))
def test_interval_lies_in_the_range_of_scores(rows: list[tuple[str, float]]) -> None:
    scores = np.array([score for _, score in rows])
    low, high = mean_interval(scores, [fact for fact, _ in rows], 200) or [0.0, 0.0]
    assert scores.min() - 1e-12 <= low <= high <= scores.max() + 1e-12


def test_seed_decides_and_chunks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, facts = np.array([0.0, 1.0, 1.0, 0.0, 1.0]), list("aabbc")
    assert mean_interval(scores, facts, 500, seed=1) == mean_interval(scores, facts, 500, seed=1)
    assert not np.array_equal(resampled_means(scores, facts, 50, 1), resampled_means(scores, facts, 50, 2))
    monkeypatch.setattr(bootstrap, "_CELLS", 60)
    assert len(resampled_means(scores, facts, 50, 1)) == 50


def test_no_rows_have_no_interval() -> None:
    assert mean_interval(np.array([]), []) is None
    assert difference_interval((np.array([]), [], []), (np.array([1.0]), ["a"], ["x"])) is None


def test_paired_difference_knows_that_the_rows_are_the_same() -> None:
    facts = [f"f{i}" for i in range(20)]
    forms = ["x"] * 20
    before = np.array([float(i % 2) for i in range(20)])
    after = before + 0.25
    assert difference_interval((after, facts, forms), (before, facts, forms)) == pytest.approx([0.25, 0.25])
    shuffled = [facts[i] for i in range(19, -1, -1)]
    assert difference_interval((after, facts, forms), (before[::-1], shuffled, forms)) == pytest.approx([0.25, 0.25])
    others = [f"other{i}" for i in range(20)]
    low, high = difference_interval((after, facts, forms), (before, others, forms)) or [0.0, 0.0]
    assert low < 0.1 < 0.25 < 0.4 < high
