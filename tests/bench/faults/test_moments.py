"""Moments of a process, counted in calls."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pipeline.artifacts import write_json
from pipeline.bench.faults import moments
from pipeline.bench.faults.moments import BEGUN, CALLS, START, CallCounter, Moment, calls_of


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CALLS:
        monkeypatch.setattr(os, name, getattr(os, name))


@pytest.mark.usefixtures("untouched")
def test_calls_are_counted_by_stage(tmp_path: Path) -> None:
    counter = CallCounter()
    counter.install()
    write_json(tmp_path / "config.json", 1)  # fsync, replace, fsync of the folder
    write_json(tmp_path / "teach" / BEGUN, 1)  # the stage begins with the renaming
    write_json(tmp_path / "teach" / "rows.json", 1)
    assert counter.counts == {START: 4, "teach": 5}
    assert calls_of(counter.counts)[3:5] == [Moment(START, 3), Moment("teach", 0)]


@pytest.mark.usefixtures("untouched")
def test_the_process_dies_before_the_call_that_was_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dead(BaseException):
        pass

    def die(process: int, number: int) -> None:
        assert (process, number) == (os.getpid(), signal.SIGKILL)
        raise Dead

    monkeypatch.setattr(moments.os, "kill", die)
    CallCounter(Moment("teach", 2)).install()  # the second file's fsync
    write_json(tmp_path / "teach" / BEGUN, 1)
    with pytest.raises(Dead):
        write_json(tmp_path / "teach" / "rows.json", 1)
    assert not (tmp_path / "teach" / "rows.json").exists()
