"""What waits comes first; of what earlier nights know, the policy chooses within a budget."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.config import ReplayConfig
from pipeline.replay.earlier import sample_night
from pipeline.replay.policies import policy_weights


def rows(passes: list[int], due: list[int] | None = None, loss: list[float] | None = None) -> pa.Table:
    n = len(passes)
    return pa.table(
        {
            "episode_id": [f"e{i}" for i in range(n)],
            "session": ["s"] * n,
            "consolidate": [True] * n,
            "salience": [0.5] * n,
            "usage": [0.0] * n,
            "novelty": [0.5] * n,
            "passes": pa.array(passes, pa.int64()),
            "due": pa.array(due or [0] * n, pa.int64()),
            "loss": loss or [0.0] * n,
        }
    )


def drawn(table: pa.Table, known: bool) -> set[str]:
    return {row["episode_id"] for row in table.to_pylist() if row["known"] == known}


@pytest.mark.parametrize("policy", ["uniform", "priority", "spaced", "loss"])
def test_what_waits_is_drawn_whatever_the_policy(policy: str) -> None:
    config = ReplayConfig(policy=policy, max_items=4, known_items=3)
    table, metrics = sample_night({"episodic": rows([0, 0, 0, 2, 2, 2])}, config, 1, 5)
    assert drawn(table, False) == {"e0", "e1", "e2"}
    assert len(drawn(table, True)) == 1, "max_items bounds both together"
    assert metrics["samples"] == 4 and table.column("order").to_pylist() == [0, 1, 2, 3]


def test_the_budget_of_known_facts_is_its_own() -> None:
    stores = {"episodic": rows([0, 0, *[1] * 8])}
    assert len(drawn(sample_night(stores, ReplayConfig(known_items=3), 1, 1)[0], True)) == 3
    assert len(drawn(sample_night(stores, ReplayConfig(), 1, 1)[0], True)) == 8
    assert not drawn(sample_night(stores, ReplayConfig(known_items=0), 1, 1)[0], True)


def test_spaced_replay_lets_rest_what_is_not_due() -> None:
    stores = {"episodic": rows([1, 1, 1, 1], due=[3, 4, 5, 9])}
    assert drawn(sample_night(stores, ReplayConfig(policy="spaced"), 1, 4)[0], True) == {"e0", "e1"}
    table = rows([1, 1], due=[1, 4]).append_column("overdue", pa.array([3, 0]))
    assert policy_weights(table, ReplayConfig(policy="spaced")).tolist() == [4.0, 1.0]


def test_a_large_loss_is_replayed_more_often() -> None:
    stores = {"episodic": rows([1] * 10, loss=[2.0] * 2 + [0.0] * 8)}
    config = ReplayConfig(policy="loss", known_items=2)
    often = sum("e0" in drawn(sample_night(stores, config, seed, 1)[0], True) for seed in range(60))
    seldom = sum("e9" in drawn(sample_night(stores, config, seed, 1)[0], True) for seed in range(60))
    assert often > 50 and 0 <= seldom < 10
