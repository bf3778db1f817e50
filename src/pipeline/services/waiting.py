"""Wait for services that run already: the keeper may just have started some of them again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import ServiceError
from pipeline.services.overview import NOT_YET, services


def until_answering(root: Path, say: Callable[[str], None], seconds: float) -> None:
    """Wait until every service answers; without the lock of `up` and `down`, which the keeper needs to start others.

    Args:
        root: Artifact root.
        say: Told once what is waited for.
        seconds: How long at most.

    Raises:
        ServiceError: One does not answer by then.
    """
    deadline, told = time.monotonic() + seconds, False
    while waiting := [row.name for row in services(root) if row.state in NOT_YET]:
        if time.monotonic() > deadline:
            raise ServiceError(
                f"{', '.join(waiting)} did not answer within {seconds:.0f} s; `engram down`, then `engram up`"
            )
        if not told:
            say(f"waiting for {', '.join(waiting)}")
            told = True
        time.sleep(0.3)
