"""A step of Muon beside PyTorch's own, small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pipeline.bench import BenchmarkFailed, benchmark
from pipeline.errors import ConfigError
from pipeline.sleepwake.muon import CpuMuon

SMALL = ("device=cpu", "rounds=1", "model={width: 16, layers: 2, heads: 2, hidden: 32}")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_HOME", str(tmp_path))


def test_both_take_the_same_step(tmp_path: Path) -> None:
    figures = benchmark("muon")(SMALL)
    assert figures["matrices"] == 2 * 4 + 3  # four of each block, and key, value and output of the memory
    assert 0 < figures["steps apart"] < 0.03
    assert figures["torch.optim.Muon takes"] == pytest.approx(figures["torch.optim.Muon (ms)"] / figures["engram (ms)"])
    assert json.loads((tmp_path / "benchmarks" / "muon" / "muon-cpu.json").read_text()) == figures


def test_another_step_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CpuMuon, "_nesterov", lambda self, weight, gradient, momentum: torch.sign(gradient))
    with pytest.raises(BenchmarkFailed, match="apart"):
        benchmark("muon")(SMALL)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="did you mean 'rounds'"):
        benchmark("muon")(("round=3",))
