"""Where public data comes from: the folder ``$ENGRAM_DATA``, and the hub through the `datasets` library."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import DataError

Row = Mapping[str, Any]
Load = Callable[[str, str | None, str], Iterable[Row]]
"""(hub id, configuration, split) to rows; `datasets.load_dataset` in earnest, three rows in tests."""


def data_root() -> Path | None:
    """``$ENGRAM_DATA``, or None when it is not set."""
    value = os.environ.get("ENGRAM_DATA")
    return Path(value).expanduser() if value else None


def load_rows(name: str, configuration: str | None, split: str) -> Iterable[Row]:
    """Rows of a data set on the hub, or in its cache; with ``HF_HUB_OFFLINE=1`` in its cache alone.

    Raises:
        DataError: It is in neither.
    """
    from datasets import load_dataset

    try:
        rows: Iterable[Row] = load_dataset(name, configuration, split=split)
    except Exception as error:  # the hub's client raises its own, httpx's and OS errors
        raise DataError(f"{name} is neither cached nor downloadable ({type(error).__name__}): {error}") from error
    return rows
