"""What all tests share: no network, no telemetry, artifacts in a folder of the test's own, repeatable properties."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "TOKENIZERS_PARALLELISM": "false",
    "MPLBACKEND": "agg",
}

settings.register_profile(
    "engram",
    deadline=None,  # timings belong to `engram bench`
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("engram")


def pytest_collection_finish() -> None:
    """What imports left is never garbage: a full collection, one behind every stage of a night, need not walk it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def artifact_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The artifact root of this test, also what ``ENGRAM_HOME`` says."""
    root = tmp_path / "home"
    root.mkdir()
    monkeypatch.setenv("ENGRAM_HOME", str(root))
    monkeypatch.delenv("ENGRAM_WORKER", raising=False)
    return root
