"""Secrets of a worker: from its environment, else from Prefect's Secret blocks; never from a configuration.

    prefect block create secret        # name: engram-mlflow, value: name:password

A block is encrypted in Prefect's database. What it holds goes into this process's environment, where MLflow's client,
or PostgreSQL's, looks for it, and nowhere else.
"""

from __future__ import annotations

import os

from pipeline.errors import ServiceError

BLOCK = "engram-mlflow"
SERVER = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
POSTGRES = ("PGUSER", "PGPASSWORD")


def load_secrets(tracking_uri: str | None) -> None:
    """Let the client of a run's tracking store know name and password, if they may be wanted.

    Args:
        tracking_uri: ``tracking.uri``; only a server and PostgreSQL want any.

    Raises:
        ServiceError: The block holds something else. The message does not repeat it.
    """
    variables = _variables(tracking_uri or "")
    if variables is None or os.environ.get(variables[1]):
        return
    from prefect.blocks.system import Secret

    try:
        value = Secret.load(BLOCK).get()  # type: ignore[union-attr]  # the coroutine is for callers in an event loop
    except ValueError:  # there is no such block: the server may want none
        return
    name, colon, password = str(value).partition(":")
    if not (name and colon and password):
        raise ServiceError(f"Prefect's Secret block {BLOCK}: expected name:password")
    os.environ.update(zip(variables, (name, password), strict=True))


def _variables(tracking_uri: str) -> tuple[str, str] | None:
    """Where the client of a tracking store looks for name and password; None for one that wants none."""
    if tracking_uri.startswith(("http://", "https://")):
        return SERVER
    return POSTGRES if tracking_uri.startswith("postgresql") else None
