"""Whole nights for the tests of sessions."""

from __future__ import annotations

import pytest

from tests.stages.nights import ScriptedNight


@pytest.fixture
def scripted_night(monkeypatch: pytest.MonkeyPatch) -> ScriptedNight:
    return ScriptedNight(monkeypatch)
