"""Executor ``ray``: Ray tasks, on a cluster of its own on this host or on one that runs already.

Ray lets whoever reaches its ports and holds its token run code, and its ports listen on every address of a host: the
token is demanded always. Dashboard and usage statistics are off. Shards are plain Ray tasks, not Prefect's: prefect-ray
would pickle Prefect's settings, passwords included, into every task and have each report to a server.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.errors import ConfigError, ServiceError
from pipeline.executors.registry import Call, Function, register_executor

OBJECT_BYTES = 80 << 20  # of the object store, near the least that Ray takes: only paths and digests pass through it


@register_executor("ray")
class Ray:
    """Ray, imported and started when the first shard needs it."""

    def __init__(self, count: int, address: str | None) -> None:
        self._count, self._address = count, address
        self._folder: str | None = None
        self._ray = _imported()

    def run(self, function: Function, calls: Sequence[Call]) -> Iterator[dict[str, Any]]:
        """As `Executor.run`."""
        if not self._ray.is_initialized():
            self._start()
        task = self._ray.remote(num_cpus=1)(function)
        waiting = [task.remote(*call) for call in calls]
        try:
            while waiting:
                done, waiting = self._ray.wait(waiting)
                yield from self._ray.get(done)
        except self._ray.exceptions.RayError as error:
            raise ServiceError(f"Ray lost a shard: {_first_line(error)}; run the same command again") from None

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._ray.is_initialized():
            self._ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _start(self) -> None:
        if self._address is not None:
            _check_reachable(self._address)
        quiet = {"log_to_driver": False, "configure_logging": False, "namespace": "engram"}
        ending = signal.getsignal(signal.SIGTERM)
        try:
            if self._address is not None:
                self._ray.init(address=self._address, **quiet)
            else:
                self._folder = tempfile.mkdtemp(prefix="engram-ray-")
                self._ray.init(
                    num_cpus=self._count,
                    include_dashboard=False,
                    object_store_memory=OBJECT_BYTES,
                    _temp_dir=self._folder,
                    **quiet,
                )
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, ending)  # Ray puts its own in the place of Prefect's
        except (OSError, RuntimeError, ValueError, self._ray.exceptions.RayError) as error:
            self.close()
            where = f"at {self._address}" if self._address else "on this host"
            raise ServiceError(f"Ray does not answer or start {where}: {_first_line(error)}") from None


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes before it says that nobody is there."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"sharding.address={address!r}: expected HOST:PORT of a Ray cluster, for example head:6379")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise ServiceError(f"no Ray cluster answers at {address} (sharding.address): {error}") from None


def _imported() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_AUTH_MODE"] = "token"
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            f"sharding.executor=ray needs Ray ({error}): pip install -c requirements.lock -e '.[ray]', "
            "or set sharding.executor=processes"
        ) from None
    return ray


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
