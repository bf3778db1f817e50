"""Kill flows, workers and the server of `engram up` in mid-night, and type the same command again until it ends.

A killed flow is marked as crashed by its worker. `engram up`'s keeper takes nights and services up again; where the
worker or the server died, `engram up` is typed as well, as a person would. Of the first pair of worker and flow that is
killed together it is measured how long the server takes to see it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import psutil

from pipeline.bench.faults.commands import Ended, Running
from pipeline.bench.faults.findings import Findings
from pipeline.bench.faults.invariants import whole
from pipeline.bench.faults.kill import ATTEMPTS, STAGES, ended_well, is_done, unfinished, wait_for_stage
from pipeline.bench.faults.nights import Nights, Reference, Step
from pipeline.config.faults import Victim
from pipeline.errors import ServiceError
from pipeline.services import processes
from pipeline.services.api import ALIVE, PrefectServer
from pipeline.services.layout import Layout
from pipeline.stages.registry import stages_of

SEEN_SECONDS = 120.0  # within which a dead worker's run has to be Crashed
PATIENCE = 30.0  # seconds until the server has told the last states of runs


def kill_workers(
    nights: Nights, reference: Reference, findings: Findings, kills: int, victims: Sequence[Victim], random: Random
) -> None:
    """Kill in nights through workers until ``kills`` processes were killed in all.

    Args:
        nights: Gives roots and commands.
        reference: The undisturbed night, which was an inline one.
        findings: Takes what happens.
        kills: How many, those before included.
        victims: Whom, in turn.
        random: Draws the moments.
    """
    turn = 0
    while findings.faults < kills:
        root = nights.root("workers")
        problems: list[str] = []
        with services(nights, root):
            teach, _ = nights.steps()
            nights.engram.run(teach.arguments, root)
            night = _Night(nights, root, nights.night(1, "placement=workers"), findings)
            share = min(nights.config.kills_per_night, kills - findings.faults)
            for stage in _drawn(share, random):
                problems += _kill(night, reference, victims[turn % len(victims)], stage, random)
                turn += 1
            problems += night.finish()
            problems += findings.check(ended_well(nights, root, reference), root)
            problems += findings.check(_left_running(root), root)
        nights.done_with(root, problems)


def _drawn(count: int, random: Random) -> list[str]:
    """Stages in order; each at most once where there are enough, the last not at all, since a night is over with it."""
    drawn = random.sample(STAGES[:-1], k=count) if count < len(STAGES) else random.choices(STAGES, k=count)
    return sorted(drawn, key=STAGES.index)


@contextmanager
def services(nights: Nights, root: Path) -> Iterator[None]:
    """`engram up` for the length of the block, `engram down` afterwards."""
    try:
        up(nights, root)
        yield
    finally:
        nights.engram.run(("down",), root)


def up(nights: Nights, root: Path) -> None:
    """`engram up`.

    Raises:
        ServiceError: It fails.
    """
    config = nights.config
    ports = ("--prefect-port", str(config.prefect_port), "--mlflow-port", str(config.mlflow_port))
    ended = nights.engram.run(("up", *ports), root)
    if ended.status:
        raise ServiceError(f"`engram up` ends with status {ended.status}: {ended.output[-800:]}")


@dataclass
class _Night:
    """A night through workers, and the command that watches it.

    What was killed is taken up by `engram up`'s keeper while the command goes on watching, or, where the command has
    ended, by typing it again.
    """

    nights: Nights
    root: Path
    step: Step
    findings: Findings
    running: Running | None = None
    struck_ns: int = 0

    def reaches(self, stage: str) -> bool:
        """Wait until a stage begins, or begins again behind the last kill; False: the night ended before."""
        for _ in range(ATTEMPTS):
            if self.running is None or not self.running.alive:
                self.running = self.nights.engram.start(self.step.arguments, self.root)
            if wait_for_stage(self.running, self.root, stage, self.struck_ns):
                return True
            self.ended()
            if is_done(self.root):
                return False
        return False

    def ended(self) -> list[str]:
        """Wait for the command: it has to end by itself, in words."""
        ended = self.running.wait() if self.running else Ended(0, "", 0.0)
        return [] if ended.status in (0, 1, 2) else self.findings.check([f"it ends with {ended.status}"], self.root)

    def finish(self) -> list[str]:
        """The same command until the night is done: one killed behind its last stage ends at the next as well."""
        problems, ended = self.ended(), Ended(0, "", 0.0)
        for _ in range(ATTEMPTS):
            if is_done(self.root):
                return problems
            ended = self.nights.engram.run(self.step.arguments, self.root)
        if not is_done(self.root):
            problems += self.findings.check([f"{self.step.name} does not end: {ended.output[-800:]}"], self.root)
        return problems


def _kill(night: _Night, reference: Reference, victim: Victim, wanted: str, random: Random) -> list[str]:
    """One kill, in stage ``wanted`` or else a later one; returns what did not hold."""
    findings, root, left = night.findings, night.root, unfinished(night.root)
    if not left:
        return []
    stage = wanted if wanted in left else left[0]
    if not night.reaches(stage):
        return []
    time.sleep(random.random() * max(0.1, reference.seconds[stage]))
    alive = _alive(root, stages_of("consolidation").spec(stage).pool)
    night.struck_ns = time.time_ns()
    if not strike(root, victim, stage):
        return [] if is_done(root) else findings.check([f"no {victim} to kill in {stage}"], root)
    findings.fault(f"{victim} in {stage}", "killed")
    if victim == "both" and "seconds until worker and flow count as crashed" not in findings.extra:
        seen = _seconds_until_crashed(root, alive)
        findings.extra["seconds until worker and flow count as crashed"] = round(seen, 1)
        if seen > SEEN_SECONDS:
            findings.check([f"worker and flow, killed together, count as running after {seen:.0f} s"], root)
    if victim != "flow":
        up(night.nights, root)
    return findings.check(whole(root), root)


def strike(root: Path, victim: Victim, stage: str) -> bool:
    """Kill -9 the flow's process that runs a stage, its worker, both, or the server; False when it is not there."""
    state = processes.read_state(Layout(root.resolve()))
    pool = stages_of("consolidation").spec(stage).pool
    service = state.find("prefect" if victim == "server" else pool) if state else None
    leader = processes.leader(service) if service else None
    if leader is None:
        return False
    below = leader.children(recursive=True)
    targets: list[psutil.Process] = [leader] if victim == "worker" else below if victim == "flow" else [leader, *below]
    for process in targets:
        with suppress(psutil.Error):
            os.kill(process.pid, signal.SIGKILL)
    return bool(targets)


def _server(root: Path) -> PrefectServer | None:
    """The server of `engram up`, if it is there."""
    state = processes.read_state(Layout(root.resolve()))
    service = state.find("prefect") if state else None
    return None if service is None or service.port is None else PrefectServer(service.port)


def _alive(root: Path, pool: str) -> list[str]:
    """Ids of a pool's flow runs that the server counts as alive."""
    server = _server(root)
    return [run["id"] for run in server.flow_runs(50, ALIVE) if run["work_pool_name"] == pool] if server else []


def _seconds_until_crashed(root: Path, runs: Sequence[str]) -> float:
    """Seconds from now until each of some flow runs counted as crashed, be it taken up again at once."""
    start, began, server = time.monotonic(), datetime.now(UTC), _server(root)
    while server and not all(_crashed(server, run, began) for run in runs):
        if time.monotonic() - start > 2 * SEEN_SECONDS:
            break
        time.sleep(1.0)
    return time.monotonic() - start


def _crashed(server: PrefectServer, run: str, since: datetime) -> bool:
    states = server.call("GET", f"/flow_run_states/?flow_run_id={run}")
    return any(s["type"] == "CRASHED" and datetime.fromisoformat(s["timestamp"]) >= since for s in states)


def _left_running(root: Path, patience: float = PATIENCE) -> list[str]:
    """Flow runs that the server counts as alive although nothing runs any more."""
    server, until = _server(root), time.monotonic() + patience
    if server is None:
        return ["there is no server to ask for runs that are left running"]
    while True:
        alive = server.flow_runs(50, ALIVE)
        if not alive or time.monotonic() > until:
            return [f"left {run['state']['name']} in Prefect: {run['name']}" for run in alive]
        time.sleep(1.0)
