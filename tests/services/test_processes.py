"""Exactly our processes are stopped: by id and start time, by descent, by token; never by name."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pipeline.errors import ServiceError
from pipeline.services.layout import TOKEN, Layout
from pipeline.services.processes import State, leader, log_tail, members, read_state, spawn, stop, write_state

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])",
]
DETACHED = (
    "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], "
    "start_new_session=True); print('left', flush=True)"
)


@pytest.fixture
def layout(artifact_root: Path) -> Layout:
    return Layout(artifact_root)


@pytest.fixture
def state(layout: Layout) -> Iterator[State]:
    """Two services; whatever a test leaves alive is stopped afterwards."""
    environment = {**os.environ, TOKEN: "token-of-this-test"}
    folder = layout.root
    services = tuple(spawn(name, SLEEP, layout, environment, folder=folder) for name in ("prefect", "cpu"))
    state = State("token-of-this-test", services)
    yield state
    stop(state, patience=0.0)


def eventually(true: Callable[[], object], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.05)
    return False


def test_a_stop_ends_all_and_nothing_else(state: State) -> None:
    other = subprocess.Popen(SLEEP)
    try:
        assert {process.pid for process in members(state)} == {service.pid for service in state.services}
        assert stop(state) == 2
        assert not members(state) and other.poll() is None
        assert stop(state) == 0
    finally:
        other.kill()
        other.wait()


def test_a_recycled_process_id_is_not_ours(state: State) -> None:
    stranger = replace(state.services[0], pid=os.getpid(), started=psutil.Process().create_time() - 100)
    assert leader(stranger) is None
    assert os.getpid() not in {process.pid for process in members(State("another token", (stranger,)))}


def test_children_and_detached_grandchildren_go_too(layout: Layout) -> None:
    environment = {**os.environ, TOKEN: "family"}
    parent = spawn("cpu", PARENT, layout, environment, folder=layout.root)
    gone = spawn("cuda", [sys.executable, "-c", DETACHED], layout, environment, folder=layout.root)
    state = State("family", (parent, gone))
    assert eventually(lambda: "left" in log_tail(layout, gone) and leader(gone) is None)
    assert eventually(lambda: len(members(state)) == 3)  # parent, its child, and the orphan in its own session
    assert stop(state, patience=5.0) == 3
    assert not members(state)


def test_a_process_that_ignores_the_request_is_killed(layout: Layout) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    service = spawn("cpu", [sys.executable, "-c", stubborn], layout, dict(os.environ), folder=layout.root)
    assert eventually(lambda: "deaf" in log_tail(layout, service))
    assert stop(State("none", (service,)), patience=0.2) == 1
    assert leader(service) is None


def test_the_record_survives_and_a_torn_one_is_none(state: State, layout: Layout) -> None:
    write_state(layout, state)
    assert read_state(layout) == state
    layout.state.write_text('{"token": "x", "serv')
    assert read_state(layout) is None


def test_a_program_that_does_not_exist_is_a_clear_error(layout: Layout) -> None:
    with pytest.raises(ServiceError, match="service `mlflow` does not start"):
        spawn("mlflow", ["/no/such/program"], layout, {}, folder=layout.root)
