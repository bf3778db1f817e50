"""The keeper starts again what has died, and nothing else."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.artifacts.locking import FileLock
from pipeline.services.keeper import Keeper
from pipeline.services.layout import TOKEN, Layout
from pipeline.services.processes import State, leader, read_state, spawn, stop, write_state

SLEEP = [sys.executable, "-c", "import os, time; print(os.environ['EXTRA'], flush=True); time.sleep(60)"]


@pytest.fixture
def started(artifact_root: Path) -> Iterator[tuple[Layout, State, Keeper]]:
    layout = Layout(artifact_root)
    environment = {**os.environ, TOKEN: "kept"}
    one, two = (
        spawn(name, SLEEP, layout, environment, folder=artifact_root, pool=name, extra={"EXTRA": name})
        for name in ("cpu", "cuda")
    )
    state = State("kept", (one, two))
    write_state(layout, state)
    yield layout, state, Keeper(layout, "kept", environment)
    stop(read_state(layout) or state, patience=0.0)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while True:
        try:
            os.waitpid(pid, 0)
            return
        except ChildProcessError:
            return
        except InterruptedError:
            time.sleep(0.01)


def test_a_dead_service_is_started_again_with_its_own_environment(started: tuple[Layout, State, Keeper]) -> None:
    layout, state, keeper = started
    assert keeper.round(0.0) and read_state(layout) == state
    kill(state.services[1].pid)
    assert keeper.round(2.0)
    after = read_state(layout)
    assert after is not None and after.services[0] == state.services[0]
    again = after.services[1]
    assert leader(again) and again.pid != state.services[1].pid
    assert (again.name, again.pool, again.extra) == ("cuda", "cuda", {"EXTRA": "cuda"})


def test_what_keeps_dying_is_started_ever_more_rarely(started: tuple[Layout, State, Keeper]) -> None:
    layout, _, keeper = started
    starts = 0
    for second in range(60):
        current = read_state(layout)
        assert current is not None
        if leader(current.services[0]):
            kill(current.services[0].pid)
        before = current.services[0].pid
        keeper.round(float(second))
        after = read_state(layout)
        assert after is not None
        starts += after.services[0].pid != before
    assert 4 <= starts <= 7  # after 0, 2, 4, 8, 16 … seconds


def test_it_waits_while_somebody_starts_or_stops_and_ends_with_its_start(
    started: tuple[Layout, State, Keeper],
) -> None:
    layout, state, keeper = started
    kill(state.services[0].pid)
    with_lock = FileLock(layout.lock)
    assert with_lock.acquire()
    assert keeper.round(0.0) and read_state(layout) == state
    with_lock.release()
    write_state(layout, State("another", state.services))
    assert not keeper.round(1.0)
    write_state(layout, state)
