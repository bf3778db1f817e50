"""The needle model's step against the loop over positions, small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.bench import BenchmarkFailed, benchmark
from pipeline.bench import needle as module
from pipeline.errors import ConfigError

SMALL = (
    "device=cpu",
    "batch_size=4",
    "rounds=2",
    "data={length: 48, n_pairs: 2, num_values: 8, vocab_extra: 16}",
    "model={emb_dim: 16, hid_dim: 24, mem_dim: 64}",
    "memory.bucket_count=8",
)
TITLE = "training step, 4 sequences of 48 tokens, 2 needles"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_HOME", str(tmp_path))


def test_both_ways_compute_the_same_and_the_loop_takes_longer(tmp_path: Path) -> None:
    figures = benchmark("needle")(SMALL)
    rows = figures[TITLE]
    assert isinstance(rows, dict) and set(rows) == {"marked writes", "learned writes"}
    for name, row in rows.items():
        assert row["loss apart"] < 1e-4 and row["gradients apart"] < 1e-2
        assert row["loop takes"] == pytest.approx(row["loop (ms)"] / row["model (ms)"])
        assert figures[f"{name}: loop takes"] == row["loop takes"]
    assert figures["bar"] == 10
    assert json.loads((tmp_path / "benchmarks" / "needle" / "needle-cpu.json").read_text()) == figures


def test_a_loop_that_computes_something_else_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = module._loss
    monkeypatch.setattr(
        module, "_loss", lambda model, batch, way: loss(model, batch, way) * (1.1 if "stepwise" in way.__name__ else 1)
    )
    with pytest.raises(BenchmarkFailed, match="apart") as found:
        benchmark("needle")((*SMALL, "rounds=1"))
    assert TITLE in found.value.figures


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="did you mean 'rounds'"):
        benchmark("needle")(("round=3",))
