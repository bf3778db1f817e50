"""Processes of a training as threads of one: exchanges by shared memory, for what is true of any way to exchange."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import Any, TypeVar

from torch import Tensor

from pipeline.language.exchange import Exchange

T = TypeVar("T")


class Thread(Exchange):
    """One of several threads that exchange by a common list."""

    def __init__(self, rank: int, size: int, board: list[Any], barrier: Barrier) -> None:
        self.rank, self.size, self._board, self._barrier = rank, size, board, barrier

    def _all(self, own: Any) -> list[Any]:
        self._board[self.rank] = own
        self._barrier.wait(60)
        found = list(self._board)
        self._barrier.wait(60)
        return found

    def add(self, tensor: Tensor) -> Tensor:
        found = self._all(tensor.detach().clone())
        total = found[0]
        for other in found[1:]:
            total = total + other
        tensor.copy_(total)
        return tensor

    def copy(self, tensor: Tensor, source: int = 0) -> Tensor:
        tensor.copy_(self._all(tensor.detach().clone())[source])
        return tensor

    def ask_first(self, make: Callable[[], T]) -> T:
        answer: T = self._all(make() if self.rank == 0 else None)[0]
        return answer


def together(size: int, work: Callable[[Exchange], T]) -> list[T]:
    """What ``work`` returns in each of ``size`` threads; the first error of any is raised."""
    board, barrier = [None] * size, Barrier(size)

    def run(rank: int) -> T:
        try:
            return work(Thread(rank, size, board, barrier))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        done = [pool.submit(run, rank) for rank in range(size)]
    errors = [error for error in (one.exception() for one in done) if error is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, BrokenBarrierError)):  # those only follow
        raise error
    return [one.result() for one in done]
