"""Executor ``processes``: a pool of fresh Python processes on this host."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from pipeline.errors import ConfigError, ServiceError
from pipeline.executors.registry import Call, Function, register_executor
from pipeline.language.processes import end_with_parent


@register_executor("processes")
class Processes:
    """The standard library's pool; its processes end with the one that started them, however that ends."""

    def __init__(self, count: int, address: str | None) -> None:
        if address is not None:
            raise ConfigError(
                f"sharding.address={address}: executor `processes` runs on this host alone; "
                "set sharding.executor=ray, or leave the address out"
            )
        self._count = count
        self._pool: ProcessPoolExecutor | None = None
        self._waiting: list[Future[dict[str, Any]]] = []

    def run(self, function: Function, calls: Sequence[Call]) -> Iterator[dict[str, Any]]:
        """As `Executor.run`."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self._count, mp_context=get_context("spawn"), initializer=_begin)
        self._waiting = [self._pool.submit(function, *call) for call in calls]
        try:
            for done in as_completed(self._waiting):
                yield done.result()
        except BrokenProcessPool:
            raise ServiceError(
                f"a process of {self._count} that share the answers died without a word; is there enough memory for "
                f"{self._count} models? Run again with a smaller sharding.shards"
            ) from None

    def close(self) -> None:
        """End the pool; what is under way is given up."""
        if self._pool is None:
            return
        if not all(call.done() for call in self._waiting):
            for process in (self._pool._processes or {}).values():  # the pool itself would wait for them
                process.terminate()
        self._pool.shutdown(cancel_futures=True)
        self._pool = None


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends it
    end_with_parent()
