"""Small campaigns on scripted nights: every kind runs, counts, and finds nothing; a broken rule is found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.artifacts import read_json
from pipeline.bench import benchmark
from pipeline.bench.registry import BenchmarkFailed
from pipeline.errors import ConfigError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
REPOSITORY = Path(__file__).resolve().parents[3]
SETTINGS = (
    "program=tests.bench.faults.program:main", 'night=["suite.profile=easy","evaluation.bootstrap=20"]', "facts=2",
    "kills=3", "kills_per_night=3", "full_disks=1", "flips=2", "teachers=2", "nights=1",
)  # fmt: skip


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{REPOSITORY / 'src'}:{REPOSITORY}")
    monkeypatch.setattr(sys, "path", [str(REPOSITORY / "src"), str(REPOSITORY), *sys.path])


def test_every_kind_of_fault_leaves_nothing_wrong(artifact_root: Path, tmp_path: Path) -> None:
    figures = benchmark("faults")((*SETTINGS, f"folder={tmp_path}"))
    told = read_json(artifact_root / "benchmarks" / "faults" / "faults.json")
    assert figures["result"] == str(artifact_root / "benchmarks" / "faults" / "faults.json")
    assert told["kill"]["faults"] == 3 and told["flip"]["faults"] == 2
    assert told["crowd"]["faults"] == 3 and told["crowd"]["table"]["teacher"]["served"] == 2
    assert told["enospc"]["faults"] >= 1 or "root" in told["enospc"]["not run"]
    assert not any(told[kind]["problems"] for kind in ("kill", "enospc", "flip", "crowd"))
    assert not list(tmp_path.glob("engram-faults-*"))  # nothing is kept of what went well


def test_a_store_that_counts_wrongly_is_found(
    artifact_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.bench.faults.nights.Nights.acknowledged", lambda *_: {"never"})
    with pytest.raises(BenchmarkFailed, match="lost: never") as failed:
        benchmark("faults")((*SETTINGS, f"folder={tmp_path}", 'kinds=["kill"]', "kills=1"))
    assert failed.value.figures["kill"]
    assert list(tmp_path.glob("engram-faults-*/kill-*"))  # to look at


def test_workers_do_not_run_another_program() -> None:
    with pytest.raises(ConfigError, match="workers run engram itself"):
        benchmark("faults")((*SETTINGS, 'victims=["inline","flow"]'))
