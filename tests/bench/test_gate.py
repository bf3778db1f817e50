"""The gate over a small day, on vectors and surprise without a model."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.bench.gate import ablations, compare
from pipeline.config import GateConfig, StoreConfig
from pipeline.config.benchmarks import GateBenchConfig
from pipeline.suites.messages import Message, day_of_messages
from tests.stores.examples import BagOfWords

CONFIG = GateBenchConfig(store=StoreConfig(expansion=1024, active=32))
DAY = day_of_messages(120, 30, 3)


def nats(day: tuple[Message, ...]) -> np.ndarray:
    """Ordinary sentences are expected, all else surprises."""
    ordinary = ("chat", "known", "pinned", "rewarded")
    return np.array([2.0 if message.kind in ordinary else 6.0 for message in day])


def test_the_gate_keeps_what_is_new_and_each_term_has_its_use() -> None:
    figures = compare(DAY, nats(DAY), BagOfWords(), CONFIG)
    rows = figures["what passes"]
    assert isinstance(rows, dict) and figures["messages"] == 120 and figures["worth keeping"] == 30
    whole = rows["the gate"]
    assert (figures["gate.precision"], figures["gate.recall"]) == (whole["precision"], whole["recall"])
    assert whole["recall"] > 0.9 and whole["duplicate"] == whole["chat"] == whole["known"] == 0
    assert (whole["pinned kept"], whole["rewarded kept"]) == ("3 of 3", "3 of 3")
    assert rows["without pin"]["pinned kept"] == rows["without reward"]["rewarded kept"] == "0 of 3"
    assert rows["without novelty"]["duplicate"] > 10
    assert rows["without surprise"]["chat"] > 10


def test_precision_and_recall_count_messages() -> None:
    figures = compare(DAY, np.full(len(DAY), 99.0), BagOfWords(), CONFIG)
    (row,) = [row for name, row in figures["what passes"].items() if name == "the gate"]  # type: ignore[union-attr]
    wrong = sum(int(row[kind]) for kind in ("duplicate", "paraphrase", "known", "chat"))
    assert row["precision"] == pytest.approx(1 - wrong / row["kept"])
    assert row["recall"] == pytest.approx((row["kept"] - wrong) / 30)


def test_a_missing_term_takes_its_part_of_the_threshold_along() -> None:
    found = ablations(GateConfig(alpha=0.6, beta=0.2, threshold=0.4))
    assert found["without surprise"].threshold == pytest.approx(0.1)
    assert found["without novelty"].threshold == pytest.approx(0.3)
    assert all(changed.enforce for changed in found.values())
