"""Run contenders in processes of their own: none inherits memory or caches, and the highest memory of each is its own.

Where several are compared they take turns, so that whatever else the machine does meanwhile slows all of them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from pipeline.artifacts.footprint import peak_memory_bytes
from pipeline.errors import EngramError

Result = TypeVar("Result")
Pause = Callable[[], None]
"""Called by a contender at the end of its turn; returns at the beginning of the next one."""


class BenchmarkError(EngramError):
    """A contender ended without a result."""


def in_own_process(function: Callable[..., Result], *arguments: object) -> tuple[Result, int]:
    """Call a function of a module in a fresh process.

    Args:
        function: What to call; it and its arguments are pickled by name.
        arguments: Of the function.

    Returns:
        What it returned, and the highest resident memory of its process in bytes.

    Raises:
        BenchmarkError: The process died.
    """
    return in_turns(_without_turns, [(function, *arguments)])[0]


def in_turns(function: Callable[..., Result], contenders: Sequence[tuple[Any, ...]]) -> list[tuple[Result, int]]:
    """Call ``function(*arguments, pause)`` for every contender's arguments, a process each, one at a time.

    Args:
        function: Calls its last argument, a `Pause`, whenever another contender may go on.
        contenders: Arguments of every contender.

    Returns:
        What it returned for every contender, with the highest resident memory of its process in bytes.

    Raises:
        BenchmarkError: A process died.
    """
    context = get_context("spawn")
    pipes: list[Connection] = []
    processes = []
    for arguments in contenders:
        here, there = context.Pipe()
        processes.append(context.Process(target=_contend, args=(there, function, arguments), daemon=True))
        pipes.append(here)
        processes[-1].start()
        there.close()
    found: dict[int, tuple[Result, int]] = {}
    try:
        while len(found) < len(pipes):
            for number, pipe in enumerate(pipes):
                if number not in found and (told := _turn(pipe, contenders[number])) is not None:
                    found[number] = told
    finally:
        for process in processes:
            process.terminate()
            process.join()
    return [found[number] for number in range(len(pipes))]


def _turn(pipe: Connection, arguments: tuple[Any, ...]) -> tuple[Any, int] | None:
    """Let one contender go on until it pauses (None), or ends with its result."""
    try:
        pipe.send("go")
        told = pipe.recv()
    except (EOFError, BrokenPipeError):
        raise BenchmarkError(f"the process of {arguments[0]!r} died; is there enough memory?") from None
    if isinstance(told, BaseException):
        raise told
    return told  # type: ignore[no-any-return]


def _contend(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """A contender's process."""

    def pause() -> None:
        pipe.send(None)
        pipe.recv()

    pipe.recv()
    try:
        result = function(*arguments, pause)
        pipe.send((result, peak_memory_bytes()))
    except Exception as error:  # the parent raises it
        pipe.send(error)


def _without_turns(function: Callable[..., Result], *arguments: Any) -> Result:
    return function(*arguments[:-1])
