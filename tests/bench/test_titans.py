"""The associative memory beside titans-pytorch's, small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.bench import BenchmarkFailed, benchmark
from pipeline.bench import titans as module
from pipeline.errors import ConfigError

SMALL = ("device=cpu", "batch=2", "length=24", "rounds=1", "memory={dimension: 8, chunk: 8}")
TITLE = "2 sequences of 24, 8 × 8"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_HOME", str(tmp_path))


def test_both_compute_the_same(tmp_path: Path) -> None:
    figures = benchmark("titans")(SMALL)
    rows = figures[TITLE]
    assert isinstance(rows, dict) and set(rows) == {"chunk gradients", "exact gradients"}
    for row in rows.values():
        assert row["reads apart"] < 1e-5 and row["gradients apart"] < 1e-4
        assert row["titans-pytorch takes"] == pytest.approx(row["titans-pytorch (ms)"] / row["engram (ms)"])
    assert json.loads((tmp_path / "benchmarks" / "titans" / "titans-cpu.json").read_text()) == figures


def test_a_peer_that_computes_something_else_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    same = module._pass
    monkeypatch.setattr(
        module, "_pass", lambda name, *given: [part * (1.1 if name == "engram" else 1) for part in same(name, *given)]
    )
    with pytest.raises(BenchmarkFailed, match="apart"):
        benchmark("titans")(SMALL)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="did you mean 'rounds'"):
        benchmark("titans")(("round=3",))
