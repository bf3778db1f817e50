"""Public data below ``$ENGRAM_DATA``: without it a test is skipped, in CI it fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.catalogue.data import data_set


def published_folder(name: str) -> Path:
    """The folder of a public data set."""
    folder = data_set(name).folder
    if folder is None:
        reason = f"the files of {name} are not below $ENGRAM_DATA"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}, and CI must have them")
        pytest.skip(reason)
    return folder
