"""Where the services keep their files, which environment they run in, and where the repository lies."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ServiceError

TOKEN = "ENGRAM_SERVICES"  # environment variable that marks every process of one start


@dataclass(frozen=True)
class Layout:
    """Folders and files of the services below one artifact root."""

    root: Path

    @property
    def home(self) -> Path:
        """``<root>/.engram``: state, logs and the Prefect database."""
        return self.root / ".engram"

    @property
    def state(self) -> Path:
        """The record of what runs: process ids, start times, ports."""
        return self.home / "services.json"

    @property
    def logs(self) -> Path:
        """One log file a service."""
        return self.home / "logs"

    @property
    def prefect_home(self) -> Path:
        """``PREFECT_HOME``: Prefect's SQLite database, apart from the user's own."""
        return self.home / "prefect"

    @property
    def mlflow(self) -> Path:
        """Folder of MLflow's SQLite database and artifacts."""
        return self.root / "mlflow"

    @property
    def tracking_uri(self) -> str:
        """Absolute URI of the tracking database, the same that inline runs write to."""
        return f"sqlite:///{self.mlflow / 'mlflow.db'}"


def repository() -> Path:
    """Folder that holds ``flows/`` and ``deployments/``.

    Raises:
        ServiceError: Engram was installed without its repository, so there is nothing to deploy.
    """
    folder = Path(__file__).resolve().parents[3]
    if not (folder / "deployments" / "prefect.yaml").is_file():
        raise ServiceError(
            f"expected deployments/prefect.yaml below {folder}, found none; "
            "services need a clone of the repository: run `make setup` there and start them from it"
        )
    return folder


def environment(layout: Layout, prefect_port: int, token: str) -> dict[str, str]:
    """Environment of every service: telemetry off, own database, quiet logs, loopback without a proxy."""
    loopback = "127.0.0.1,localhost"
    proxies = {
        name: f"{os.environ[name]},{loopback}" if os.environ.get(name) else loopback
        for name in ("NO_PROXY", "no_proxy")
    }
    source = str(repository() / "src")
    path = [source, str(repository()), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **os.environ,
        **proxies,
        TOKEN: token,
        "ENGRAM_HOME": str(layout.root),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)),
        "PYTHONUNBUFFERED": "1",
        "PREFECT_HOME": str(layout.prefect_home),
        "PREFECT_API_URL": f"http://127.0.0.1:{prefect_port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_WORKER_HEARTBEAT_SECONDS": "10",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # seconds; deployments/automations.yaml waits for three
        "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "5",  # a cancelled night ends its child at once
        "PREFECT_CLI_PROMPT": "false",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_TRACKING_URI": layout.tracking_uri,
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def gpu_count() -> int:
    """Number of NVIDIA GPUs the driver lists; 0 without a driver. Does not import torch."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
