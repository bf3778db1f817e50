"""KL and perplexity from per-token figures."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.evaluation.drift import TokenDrift, drift


def tokens(domain: str, kl: list[float], base: list[float], post: list[float]) -> TokenDrift:
    return TokenDrift(domain, np.array(kl), np.array(base), np.array(post))


def test_the_worst_domain_counts_and_tokens_weigh_equally() -> None:
    found = drift(
        [
            tokens("prose", [0.01, 0.03], [-2.0, -1.0], [-2.0, -1.2]),
            tokens("prose", [0.08], [-3.0], [-3.1]),
            tokens("chat", [0.02, 0.02], [-1.0, -1.0], [-0.9, -0.9]),
        ]
    )
    assert found["kl_by_domain"] == pytest.approx({"chat": 0.02, "prose": 0.04})
    assert found["kl_base"] == pytest.approx(0.04)
    assert found["ppl_by_domain"] == pytest.approx({"chat": np.exp(-0.1), "prose": np.exp(0.1)})
    assert found["ppl_ratio"] == pytest.approx(np.exp(0.1))
    assert found["tokens"] == 5


def test_ratio_is_that_of_two_perplexities() -> None:
    generator = np.random.default_rng(0)
    base, post = -generator.random(100), -generator.random(100)
    ratio = np.exp(-post.mean()) / np.exp(-base.mean())
    assert drift([tokens("d", [0.0] * 100, list(base), list(post))])["ppl_ratio"] == pytest.approx(ratio)


def test_rounding_below_zero_is_zero() -> None:
    assert drift([tokens("d", [-1e-9], [-1.0], [-1.0])])["kl_base"] == 0.0


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [tokens("d", [], [], [])],
        [tokens("d", [0.1], [-1.0, -1.0], [-1.0])],
        [tokens("d", [float("nan")], [-1.0], [-1.0])],
        [tokens("d", [0.1], [-1.0], [float("-inf")])],
    ],
)
def test_figures_that_mean_nothing_are_errors(pairs: list[TokenDrift]) -> None:
    with pytest.raises(ModelError, match="drift"):
        drift(pairs)
