"""No source but those that a test places, and three images for the published data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.images.examples import isolate, publish


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of this test."""
    return isolate(tmp_path, monkeypatch)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``$ENGRAM_DATA``, still to be filled."""
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch)
