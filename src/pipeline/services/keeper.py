"""The keeper: starts a service again when it has died, and a night that crashed, so that none waits for a person.

`engram up` starts it last, and `engram down` stops it first:

    python -m pipeline.services.keeper ROOT

A service that keeps dying is started ever more rarely, at most once a minute. Whoever kills the keeper itself has to
run `engram up` again.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.artifacts.locking import FileLock
from pipeline.errors import EngramError
from pipeline.services import processes
from pipeline.services.layout import TOKEN, Layout, repository
from pipeline.services.processes import Service, State
from pipeline.services.revival import LOOK_SECONDS, revive
from pipeline.services.running import prefect_server

KEEPER = "keeper"
ROUND_SECONDS = 2.0
PATIENCE = 60.0  # seconds between two starts of a service that keeps dying, at most
FORGIVEN = 600.0  # seconds of life after which earlier deaths no longer count


class Keeper:
    """Looks after the services of one start.

    Args:
        layout: Where their record lies.
        token: Of the start.
        environment: Of all services.
    """

    def __init__(self, layout: Layout, token: str, environment: Mapping[str, str]) -> None:
        self._layout, self._token, self._environment = layout, token, dict(environment)
        self._next_look = 0.0
        self._deaths: dict[str, list[float]] = defaultdict(list)

    def round(self, now: float) -> bool:
        """Start what has died, if nobody else starts or stops services at this moment.

        Args:
            now: Seconds of a clock that never goes back.

        Returns:
            Whether there is anything left to look after.
        """
        _reap()
        lock = FileLock(self._layout.lock)
        if not lock.acquire():
            return True
        try:
            state = processes.read_state(self._layout)
            if state is None or state.token != self._token:
                return False
            dead = [s for s in state.services if s.name != KEEPER and s.command and processes.leader(s) is None]
            for service in dead:
                if self._may_start(service, now):
                    state = self._restart(state, service)
            return True
        finally:
            lock.release()

    def look_after_nights(self, now: float) -> None:
        """Start crashed nights again, every few seconds; ``now`` as of `round`."""
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        server = prefect_server(processes.read_state(self._layout))
        if server is not None and server.healthy():
            revive(server, datetime.now(UTC), lambda line: print(line, flush=True))

    def _may_start(self, service: Service, now: float) -> bool:
        deaths = [moment for moment in self._deaths[service.name] if now - moment < FORGIVEN]
        self._deaths[service.name] = deaths
        if deaths and now - deaths[-1] < min(PATIENCE, 2.0 ** len(deaths)):
            return False
        deaths.append(now)
        return True

    def _restart(self, state: State, service: Service) -> State:
        print(f"service `{service.name}` (process {service.pid}) has died and is started again", flush=True)
        started = processes.spawn(
            service.name,
            service.command,
            self._layout,
            self._environment,
            folder=repository(),
            port=service.port,
            note=service.note,
            pool=service.pool,
            extra=service.extra,
            again=True,
        )
        services = tuple(started if known.name == service.name else known for known in state.services)
        renewed = replace(state, services=services)
        processes.write_state(self._layout, renewed)
        return renewed


def _reap() -> None:
    """Collect children that have died, so that they do not stay in the process table."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def main() -> None:
    """Look after the services until they are stopped."""
    layout = Layout(Path(sys.argv[1]).resolve())
    keeper = Keeper(layout, os.environ[TOKEN], os.environ)
    while True:
        time.sleep(ROUND_SECONDS)
        try:
            if not keeper.round(time.monotonic()):
                return
            keeper.look_after_nights(time.monotonic())
        except EngramError as error:  # a full disk, for example: the next round tries again
            print(error, flush=True)


if __name__ == "__main__":
    main()
