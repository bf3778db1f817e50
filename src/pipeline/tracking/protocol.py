"""What a night reports, to MLflow or to nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Tracker(Protocol):
    """What a night reports to MLflow, or to nobody."""

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None without tracking."""
        ...

    def log_params(self, config: Mapping[str, Any]) -> None:
        """Log nested settings once, by their dotted names."""
        ...

    def log_metrics(self, figures: Mapping[str, Any]) -> None:
        """Log nested figures in one batch, by their dotted names; one that stands there already is not repeated."""
        ...

    def log_report(self, figures: Mapping[str, Any]) -> None:
        """Log a report: what nights compare by to the run itself, the fine figures to its ``evaluate``."""
        ...

    def log_steps(self, steps: pa.Table, prefix: str = "train") -> None:
        """Log every numeric column of a table with a ``step`` column; steps that stand there already are left out."""
        ...

    def log_inputs(self, digests: Mapping[str, str], context: str, tags: bool = True) -> None:
        """Record the SHA-256 of data that the run read or wrote, as data sets and whole digests as tags."""
        ...

    def rename(self, name: str) -> None:
        """Give the run the name that lists and legends show."""
        ...

    def log_artifacts(self, paths: Iterable[Path], folder: str | None = None) -> None:
        """Copy files, and folders with all they hold, to the run's artifacts."""
        ...

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set or replace tags."""
        ...

    def register_adapter(
        self, path: Path, name: str, slow: Path | None = None, lineage: Mapping[str, str] | None = None
    ) -> int | None:
        """Register an adapter folder, and the slow average beside it, if there is one.

        ``lineage`` becomes tags of the version: what it was made from.

        Returns:
            Its version, the new challenger, or None without tracking.
        """
        ...

    def promote(self, name: str, version: int | None) -> bool:
        """Move ``champion``; returns whether it moved."""
        ...

    def champion(self, name: str) -> Path | None:
        """The champion's adapter folder, if there is one."""
        ...

    def champion_version(self, name: str) -> int | None:
        """The champion's version, if there is one."""
        ...

    def finish(self, status: Status = "FINISHED") -> None:
        """End the run."""
        ...


class NoTracker:
    """Tracking switched off: every call is accepted and nothing happens."""

    run_id: str | None = None

    def log_params(self, config: Mapping[str, Any]) -> None:
        """Do nothing."""

    def log_metrics(self, figures: Mapping[str, Any]) -> None:
        """Do nothing."""

    def log_report(self, figures: Mapping[str, Any]) -> None:
        """Do nothing."""

    def log_steps(self, steps: pa.Table, prefix: str = "train") -> None:
        """Do nothing."""

    def log_inputs(self, digests: Mapping[str, str], context: str, tags: bool = True) -> None:
        """Do nothing."""

    def rename(self, name: str) -> None:
        """Do nothing."""

    def log_artifacts(self, paths: Iterable[Path], folder: str | None = None) -> None:
        """Do nothing."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Do nothing."""

    def register_adapter(
        self, path: Path, name: str, slow: Path | None = None, lineage: Mapping[str, str] | None = None
    ) -> int | None:
        """There is no registry."""
        return None

    def promote(self, name: str, version: int | None) -> bool:
        """Nothing can move."""
        return False

    def champion(self, name: str) -> Path | None:
        """There is no champion."""
        return None

    def champion_version(self, name: str) -> int | None:
        """There is no champion."""
        return None

    def finish(self, status: Status = "FINISHED") -> None:
        """Do nothing."""
