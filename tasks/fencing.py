"""A night that is cut off from Prefect's server ends itself, before the server gives it to another host.

The server cannot stop a process that it does not reach, and that process would go on holding the run's lock and
writing its files. So it watches the server from its own side: ``ENGRAM_FENCE_SECONDS`` without any answer, and it is
gone, with its children. What it finished is kept; whoever takes the run up goes on from there.

The time must be shorter than the server's patience less one heartbeat (deployments/automations.yaml: 90 - 30 s). It is
unset on a single host, where no cable can come out, and where a server that restarts should end no night.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress

import psutil

SECONDS_VARIABLE = "ENGRAM_FENCE_SECONDS"
EXIT_STATUS = 75  # EX_TEMPFAIL of sysexits.h
_POLL, _TIMEOUT = 5.0, 5.0  # seconds
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_started = threading.Lock()


def start_fence() -> None:
    """Begin to watch the server, once a process, where ``ENGRAM_FENCE_SECONDS`` and a server are set."""
    patience, server = os.environ.get(SECONDS_VARIABLE), os.environ.get("PREFECT_API_URL")
    if patience and server and _started.acquire(blocking=False):
        fence = Fence(float(patience), lambda: reachable(f"{server}/health"), _leave)
        threading.Thread(target=fence.watch, name="engram-fence", daemon=True).start()


class Fence:
    """Watches something that has to answer.

    Args:
        patience: Seconds without an answer after which ``leave`` is called.
        answers: Whether it answers now.
        leave: Ends the process.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        patience: float,
        answers: Callable[[], bool],
        leave: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience, self._answers, self._leave, self._clock = patience, answers, leave, clock
        self._heard = clock()

    def watch(self) -> None:
        """Look every five seconds, until the process ends."""
        while self.look():
            time.sleep(_POLL)

    def look(self) -> bool:
        """Ask once; False when patience is over and ``leave`` was called."""
        asked = self._clock()
        if self._answers():
            self._heard = asked
            return True
        silent = self._clock() - self._heard
        if silent < self._patience:
            return True
        self._leave(silent)
        return False


def reachable(url: str) -> bool:
    """Whether anybody answers at ``url``, be it with a refusal."""
    try:
        with _OPENER.open(url, timeout=_TIMEOUT):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


def _leave(silent: float) -> None:
    """End this process and its children at once; nothing can be reported, and locks go with the process."""
    print(
        f"no answer from Prefect's server for {silent:.0f} s: this process ends, another host goes on", file=sys.stderr
    )
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    sys.stderr.flush()
    os._exit(EXIT_STATUS)
