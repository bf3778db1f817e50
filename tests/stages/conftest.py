"""A whole night in a second: the real stages of pool cpu, scripted ones for the language model."""

from __future__ import annotations

import pytest

from tests.stages.nights import ScriptedNight


@pytest.fixture
def scripted_night(monkeypatch: pytest.MonkeyPatch) -> ScriptedNight:
    return ScriptedNight(monkeypatch)
