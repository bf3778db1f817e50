"""Where MLflow keeps its figures, opened quietly: no telemetry, no log noise, no global state."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifacts import FileLock
from pipeline.artifacts.disk import cannot_write
from pipeline.config import TrackingConfig
from pipeline.errors import ServiceError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # a server that is not there is reported in seconds, not minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # seconds
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # a server's pages, after every stage
}
_NOISY = ("alembic", "mlflow", "sqlalchemy")
_INIT_SECONDS = 180.0
_FULL = "database or disk is full"  # in the words of SQLite
_CREATING = 0x656E6772616D  # "engram": the advisory lock of whoever creates MLflow's tables in PostgreSQL


def tracking_uri(config: TrackingConfig, root: Path) -> str:
    """The absolute tracking URI: SQLite in ``<root>/mlflow/mlflow.db`` unless another is configured.

    A relative ``sqlite:///`` path is seen from ``root``, so that the working directory of a worker does not matter.
    """
    if config.uri is None:
        return f"sqlite:///{root.absolute() / 'mlflow' / 'mlflow.db'}"
    if config.uri.startswith("sqlite:///") and not config.uri.startswith("sqlite:////"):
        return f"sqlite:///{root.absolute() / config.uri.removeprefix('sqlite:///')}"
    return config.uri


@contextmanager
def quietly(uri: str) -> Iterator[None]:
    """Silence MLflow within the block; its errors become `ServiceError`, a full disk becomes `ArtifactError`."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from alembic.util import CommandError
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        for logger in loggers:
            logger.setLevel(logging.CRITICAL)  # MLflow logs the traceback of an error that it raises as well
        try:
            yield
        except (MlflowException, SQLAlchemyError, CommandError) as error:
            reason = str(error).splitlines()[0]
            if _FULL in str(error) and uri.startswith("sqlite:///"):
                full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                raise cannot_write(Path(uri.removeprefix("sqlite:///")), full) from error
            raise ServiceError(
                f"MLflow at {uri}: {reason}. Start it with `engram up`, set tracking.uri to a sqlite:///, "
                "postgresql:// or http:// address, or switch it off by --set tracking.enabled=false"
            ) from error
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def open_client(uri: str) -> MlflowClient:
    """A client of tracking store and registry; a database without MLflow's tables gets them first.

    Raises:
        ServiceError: The store cannot be opened, or another process has been creating it for too long.
    """
    with quietly(uri):
        from mlflow import MlflowClient

        if uri.startswith("sqlite:///"):
            _create_database(Path(uri.removeprefix("sqlite:///")))
        elif uri.startswith("postgresql"):
            _create_tables(uri)
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def initialise(config: TrackingConfig, root: Path) -> None:
    """Create database and experiment before anything runs in parallel; harmless when they exist, or tracking is off."""
    if config.enabled:
        uri = tracking_uri(config, root)
        client = open_client(uri)
        with quietly(uri):
            experiment_id(client, config.experiment, uri, root)


def _create_database(database: Path) -> None:
    """Create MLflow's tables in a new SQLite file, which appears whole or not at all; one process does, others wait.

    MLflow itself migrates in place: two processes, or one that is killed, would leave a file that never opens again.
    """
    from mlflow import MlflowClient

    if database.exists():
        return
    lock = FileLock(database.with_name(f".{database.name}.lock"))
    _wait(lock)
    try:
        for orphan in database.parent.glob(f".{database.name}.*.tmp*"):
            orphan.unlink(missing_ok=True)
        if not database.exists():
            temporary = database.with_name(f".{database.name}.{secrets.token_hex(4)}.tmp")
            client = MlflowClient(tracking_uri=f"sqlite:///{temporary}", registry_uri=f"sqlite:///{temporary}")
            client.search_experiments(max_results=1)
            client._tracking_client.store.engine.dispose()  # closes the file before it is renamed
            os.replace(temporary, database)
    finally:
        lock.release()


def _create_tables(uri: str) -> None:
    """Create MLflow's tables in an empty PostgreSQL database; one process of all hosts does, others wait.

    The first connection is made here, since MLflow would try a wrong address for minutes. Whom to log in as is in the
    environment (``PGUSER``, ``PGPASSWORD``, or what else libpq reads).
    """
    import sqlalchemy
    from mlflow import MlflowClient

    try:
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool, connect_args={"connect_timeout": 20})
    except ImportError as error:
        raise ServiceError(
            f"MLflow at {uri}: PostgreSQL needs a driver ({error}): pip install -c requirements.lock -e '.[postgres]'"
        ) from None
    with engine.connect() as connection:
        if sqlalchemy.inspect(connection).has_table("alembic_version"):
            return
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": _CREATING})  # until it closes
        MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)


def _wait(lock: FileLock) -> None:
    deadline = time.monotonic() + _INIT_SECONDS
    while not lock.acquire():
        if time.monotonic() > deadline:
            raise ServiceError(f"{lock.path}: process {lock.holder()} has been creating MLflow's database for too long")
        time.sleep(0.1)


def experiment_id(client: MlflowClient, name: str, uri: str, root: Path) -> str:
    """The experiment's id.

    A new one keeps its artifacts beside the SQLite file, below ``<root>/mlflow`` for any other database, which would
    take the current folder, and where it likes on a server.
    """
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    folder = root.absolute() / "mlflow"
    if uri.startswith("sqlite:///"):
        folder = Path(uri.removeprefix("sqlite:///")).parent
    location = None if uri.startswith(("http://", "https://")) else (folder / "artifacts").as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException:
        known = client.get_experiment_by_name(name)  # another process was faster
        if known is None:
            raise
        return str(known.experiment_id)
