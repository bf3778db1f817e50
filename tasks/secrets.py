"""Secrets of a worker: from its environment, else from Prefect's Secret blocks; never from a configuration.

    prefect block create secret        # name: engram-mlflow, value: name:password

A block is encrypted in Prefect's database. What it holds goes into this process's environment, where MLflow's client
looks for it, and nowhere else.
"""

from __future__ import annotations

import os

from pipeline.errors import ServiceError

BLOCK = "engram-mlflow"
NAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"


def load_secrets(tracking_uri: str | None) -> None:
    """Let MLflow's client know its name and password, if a run's tracking server may want them.

    Args:
        tracking_uri: ``tracking.uri``; only a server wants any.

    Raises:
        ServiceError: The block holds something else. The message does not repeat it.
    """
    if not (tracking_uri or "").startswith(("http://", "https://")) or os.environ.get(PASSWORD):
        return
    from prefect.blocks.system import Secret

    try:
        value = Secret.load(BLOCK).get()  # type: ignore[union-attr]  # the coroutine is for callers in an event loop
    except ValueError:  # there is no such block: the server may want none
        return
    name, colon, password = str(value).partition(":")
    if not (name and colon and password):
        raise ServiceError(f"Prefect's Secret block {BLOCK}: expected name:password")
    os.environ[NAME], os.environ[PASSWORD] = name, password
