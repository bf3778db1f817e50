"""Where MLflow's pages show a run, if a dashboard runs."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pipeline.config import TrackingConfig
from pipeline.services import processes
from pipeline.services.access import reached_at
from pipeline.services.layout import Layout

ADDRESS = "ENGRAM_MLFLOW_URL"  # environment variable: where people reach MLflow, when that is not what it listens on


def dashboard(config: TrackingConfig, root: Path) -> str | None:
    """Address of MLflow's pages: what the environment says, else the tracking server, else what `engram up` started.

    None where nobody serves them.
    """
    if address := os.environ.get(ADDRESS):
        return address.rstrip("/")
    if config.uri is not None and config.uri.startswith(("http://", "https://")):
        return re.sub(r"//[^/@]*@", "//", config.uri).rstrip("/")  # never a password
    state = processes.read_state(Layout(root.resolve()))
    service = state.find("mlflow") if state else None
    return f"http://{reached_at(state.host)}:{service.port}" if state and service and service.port else None


def run_page(address: str, experiment_id: str, run_id: str, artifact: str | None = None) -> str:
    """Page of one run, or of a file among its artifacts."""
    page = f"{address}/#/experiments/{experiment_id}/runs/{run_id}"
    return f"{page}/artifacts/{artifact}" if artifact else page
