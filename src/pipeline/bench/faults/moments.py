"""Exact moments in a night: calls that make a file durable, visible or gone, counted from the start of a stage.

A process that is to die there kills itself with SIGKILL, before the call; nothing that Python does at its end happens.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BEGUN = ".begun.json"  # the first file that a stage writes
CALLS = ("fsync", "replace", "rename", "unlink")
START = ""  # before the first stage


@dataclass(frozen=True)
class Moment:
    """Before the call number ``call`` (from 0) of a stage; stage `START` counts from the start of the process."""

    stage: str
    call: int


@dataclass
class CallCounter:
    """Stands before `CALLS` of module ``os``, counts them by stage, and dies where it is told to.

    Attributes:
        die_at: Where; None counts alone.
        counts: Calls by stage so far.
    """

    die_at: Moment | None = None
    counts: Counter[str] = field(default_factory=Counter)
    _stage: str = START

    def install(self) -> None:
        """Stand before the calls of this process, for good."""
        for name in CALLS:
            setattr(os, name, self._before(getattr(os, name)))

    def _before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            target = str(arguments[-1]) if len(arguments) > 1 else ""
            if target.endswith(f"/{BEGUN}"):
                self._stage = Path(target).parent.name
                self.counts[self._stage] = 0
            if self.die_at == Moment(self._stage, self.counts[self._stage]):
                os.kill(os.getpid(), signal.SIGKILL)
            self.counts[self._stage] += 1
            return call(*arguments, **options)

        return counted


def calls_of(counts: Mapping[str, int]) -> list[Moment]:
    """Every moment of a night in which each stage makes that many calls."""
    return [Moment(stage, call) for stage, calls in counts.items() for call in range(calls)]
