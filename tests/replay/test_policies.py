from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.config import ReplayConfig, ReplayWeights
from pipeline.errors import ConfigError
from pipeline.replay import POLICIES, policy_weights, register_policy

ROWS = pa.table({"salience": [0.2, 0.4, 1.0], "usage": [0.0, 1.0, 7.0], "novelty": [1.0, 0.5, 0.0]})


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("uniform", [1, 1, 1]), ("priority", [0.1 + 0.2, 0.2 + 0.3 / 3 + 0.1, 0.5 + 0.3])],  # log 2 is a third of log 8
)
def test_weights(policy: str, expected: list[float]) -> None:
    np.testing.assert_allclose(policy_weights(ROWS, ReplayConfig(policy=policy)), expected)


def test_the_parts_are_configured_and_unused_rows_are_no_problem() -> None:
    weights = ReplayWeights(salience=0.0, usage=0.0, novelty=2.0)
    assert policy_weights(ROWS, ReplayConfig(weights=weights)).tolist() == [2.0, 1.0, 0.0]
    unused = ROWS.set_column(1, "usage", pa.array([0.0, 0.0, 0.0]))
    np.testing.assert_allclose(policy_weights(unused, ReplayConfig()), [0.3, 0.3, 0.5])
    assert policy_weights(ROWS.slice(0, 0), ReplayConfig()).shape == (0,)


def test_an_unknown_policy_names_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"replay\.policy: expected one of loss, priority, spaced, uniform.*'recency'"
    ):
        policy_weights(ROWS, ReplayConfig(policy="recency"))


def test_a_policy_is_one_decorated_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.replay.policies.POLICIES", dict(POLICIES))
    register_policy("novelty")(lambda rows, config: np.asarray(rows.column("novelty")))
    assert policy_weights(ROWS, ReplayConfig(policy="novelty")).tolist() == [1.0, 0.5, 0.0]
    with pytest.raises(ValueError, match="already registered"):
        register_policy("novelty")
        register_policy("novelty")(lambda rows, config: np.ones(rows.num_rows))
