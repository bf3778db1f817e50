"""Kill flows, workers and the server of `engram up` in mid-night, and type the same command again until it ends.

A killed flow is marked as crashed by its worker. Where the worker or the server died, `engram up` is typed first, as a
person would; of the first pair of worker and flow that is killed together it is measured how long the server takes to
see it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
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
            step = nights.night(1, "placement=workers")
            share = min(nights.config.kills_per_night, kills - findings.faults)
            for stage in sorted(random.choices(STAGES, k=share), key=STAGES.index):
                problems += _kill(nights, reference, findings, root, step, victims[turn % len(victims)], stage, random)
                turn += 1
            problems += _finish(nights, findings, root, step)
            problems += findings.check(ended_well(nights, root, reference), root)
            problems += findings.check(_left_running(root), root)
        nights.done_with(root, problems)


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


def _kill(
    nights: Nights,
    reference: Reference,
    findings: Findings,
    root: Path,
    step: Step,
    victim: Victim,
    wanted: str,
    random: Random,
) -> list[str]:
    """One attempt with one kill, in stage ``wanted`` or else a later one; returns what did not hold."""
    left = unfinished(root)
    if not left:
        return []
    stage = wanted if wanted in left else left[0]
    running = nights.engram.start(step.arguments, root)
    if not wait_for_stage(running, root, stage):
        running.wait()
        return []
    time.sleep(random.random() * max(0.1, reference.seconds[stage]))
    if not strike(root, victim, stage):
        return findings.check([f"no {victim} to kill in {stage}: {running.wait().output[-600:]}"], root)
    findings.fault(f"{victim} in {stage}", "killed")
    if victim == "both" and "seconds until worker and flow count as crashed" not in findings.extra:
        seen = _seconds_until_crashed(root)
        findings.extra["seconds until worker and flow count as crashed"] = round(seen, 1)
        if seen > SEEN_SECONDS:
            findings.check([f"worker and flow, killed together, count as running after {seen:.0f} s"], root)
    if victim != "flow":
        up(nights, root)
    return _after(running, findings, root) + findings.check(whole(root), root)


def _after(running: Running, findings: Findings, root: Path) -> list[str]:
    """The command that watched the killed night has to end by itself, in words."""
    ended = running.wait()
    return [] if ended.status in (0, 1, 2) else findings.check([f"the command ends with {ended.status}"], root)


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


def _seconds_until_crashed(root: Path) -> float:
    """Seconds until the server counts no run as alive."""
    start = time.monotonic()
    while _left_running(root, 0.0) and time.monotonic() - start < 2 * SEEN_SECONDS:
        time.sleep(1.0)
    return time.monotonic() - start


def _left_running(root: Path, patience: float = PATIENCE) -> list[str]:
    """Flow runs that the server counts as alive although nothing runs any more."""
    state = processes.read_state(Layout(root.resolve()))
    service = state.find("prefect") if state else None
    if service is None or service.port is None:
        return ["there is no server to ask for runs that are left running"]
    server, until = PrefectServer(service.port), time.monotonic() + patience
    while True:
        alive = server.flow_runs(50, ALIVE)
        if not alive or time.monotonic() > until:
            return [f"left {run['state']['name']} in Prefect: {run['name']}" for run in alive]
        time.sleep(1.0)


def _finish(nights: Nights, findings: Findings, root: Path, step: Step) -> list[str]:
    """The same command until the night is done: one that was killed behind its last stage ends at the next as well."""
    ended = Ended(0, "", 0.0)
    for _ in range(ATTEMPTS):
        if is_done(root):
            return []
        ended = nights.engram.run(step.arguments, root)
    return [] if is_done(root) else findings.check([f"{step.name} does not end: {ended.output[-800:]}"], root)
