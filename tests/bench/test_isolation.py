"""Contenders in processes of their own, one at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from pipeline.bench.isolation import BenchmarkError, in_own_process, in_turns
from pipeline.errors import DataError


def double(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def turns(name: str, count: int, pause: Callable[[], None]) -> list[tuple[float, float]]:
    spans = []
    for number in range(count):
        start = time.monotonic()
        time.sleep(0.005)
        spans.append((start, time.monotonic()))
        if number + 1 < count:
            pause()
    return spans


def fails(name: str, pause: Callable[[], None]) -> None:
    raise DataError(f"{name} found nothing")


def dies(name: str, pause: Callable[[], None]) -> None:
    os._exit(3)


def test_a_function_runs_elsewhere_and_its_memory_is_told() -> None:
    (found, process), memory = in_own_process(double, 21)
    assert found == 42 and process != os.getpid() and memory > 2**20


def test_contenders_take_turns_and_never_run_together() -> None:
    found = in_turns(turns, [("long", 4), ("short", 2)])
    spans = sorted((span, number) for number, (result, _) in enumerate(found) for span in result)
    assert [number for _, number in spans] == [0, 1, 0, 1, 0, 0]
    assert all(before[1] <= after[0] for (before, _), (after, _) in pairwise(spans))


def test_an_error_comes_through_and_a_death_is_told() -> None:
    with pytest.raises(DataError, match="ours found nothing"):
        in_turns(fails, [("ours",)])
    with pytest.raises(BenchmarkError, match="the process of 'ours' died"):
        in_turns(dies, [("ours",)])
