"""What runs as ``engram`` in these tests: the real command, with scripted stand-ins for encoder and language model."""

from __future__ import annotations

import pytest

from pipeline.cli import main as engram
from tests.stages.nights import ScriptedNight


def main() -> None:
    ScriptedNight(pytest.MonkeyPatch())
    engram()
