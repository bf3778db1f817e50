"""MLflow's empty database, made once a process and copied: migrations take seconds, and most tests want a new one."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from pipeline.tracking import store

_create_database = store._create_database  # not what a test puts in its place


@cache
def _template() -> tempfile.TemporaryDirectory[str]:
    """A folder with the database; it goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix="engram-mlflow-")
    _create_database(Path(folder.name) / "mlflow.db")
    return folder


def copied_database(database: Path) -> None:
    """Stands for `pipeline.tracking.store._create_database`."""
    if database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    part = database.with_name(f".{database.name}.{os.getpid()}.copy")
    shutil.copyfile(Path(_template().name) / "mlflow.db", part)
    part.rename(database)
