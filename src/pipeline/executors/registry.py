"""Executors by name: a new one is one file with one decorator.

@register_executor("processes")
class Processes: ...

executor_class("processes")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from pipeline import executors
from pipeline.registry import Registry

Call = tuple[str, str, int]
"""What a shard is told: path and digest of its job, and its number. Objects are not handed over."""
Function = Callable[[str, str, int], dict[str, Any]]
"""Of a module, so that another process finds it by name; what it returns is JSON."""


class Executor(Protocol):
    """Runs calls in other processes, which live until it is closed and keep what they loaded."""

    def __init__(self, count: int, address: str | None) -> None:
        """Nothing is started yet.

        Args:
            count: How many calls run at once.
            address: Of a cluster, where the executor knows any.

        Raises:
            ConfigError: It cannot work here.
        """

    def run(self, function: Function, calls: Sequence[Call]) -> Iterator[dict[str, Any]]:
        """What the function returns for each call, in the order in which they end.

        Raises:
            ServiceError: A process died, or does not start.
        """

    def close(self) -> None:
        """End every process that was started."""


EXECUTORS: Registry[type[Executor]] = Registry("executor", executors)
register_executor = EXECUTORS.register


def executor_class(name: str) -> type[Executor]:
    """The class of the executors of that name.

    Raises:
        ConfigError: There is none.
    """
    return EXECUTORS.find(name)


def executor_names() -> tuple[str, ...]:
    """Every name, sorted."""
    return EXECUTORS.names()
