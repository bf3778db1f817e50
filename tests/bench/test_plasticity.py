"""The update against its peer, at the size of a small layer."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.bench import benchmark
from pipeline.bench.plasticity import PEER, WAYS
from pipeline.errors import ConfigError
from pipeline.plasticity.pairing import FREQUENCIES, LAGS

SMALL = ("before=30", "behind=20", "samples=4", "rounds=1")


def test_the_table_compares_the_same_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_HOME", str(tmp_path))
    figures = benchmark("plasticity")(SMALL)
    difference, rows = (
        figures["largest difference to STDPLearner"],
        figures["30 x 20 weights, 8 steps, 4 samples, one thread"],
    )
    assert isinstance(difference, float) and difference < 1e-5
    assert isinstance(rows, dict) and set(rows) == {*WAYS, PEER}
    assert rows[PEER]["STDPLearner takes"] == 1
    assert rows["pair"]["MFLOP"] == 2 * 30 * 20 * 8 * 4 / 1e6 and rows["triplet"]["MFLOP"] == 2 * rows["pair"]["MFLOP"]
    assert rows["pair"]["MB"] == 4 * (8 * 4 * 50 + 2 * 600) / 1e6
    assert all(row["share of limit"] > 0 for name, row in rows.items() if name != PEER)
    protocol = figures["pairing protocol: change of the weight"]
    assert isinstance(protocol, dict) and len(protocol) == len(FREQUENCIES) * len(LAGS) + 1
    assert (tmp_path / "benchmarks" / "plasticity" / "pairing.png").read_bytes().startswith(b"\x89PNG")


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="did you mean 'samples'"):
        benchmark("plasticity")(("sample=3",))
