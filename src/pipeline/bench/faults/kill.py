"""Kill nights with SIGKILL at random moments and type the same command again until it ends.

Half of the moments are instants within a stage that was drawn, half are the moments before a call that makes a file
durable, visible or gone (`pipeline.bench.faults.moments`).
"""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from pipeline.bench.faults.commands import KILLED, Ended, Running
from pipeline.bench.faults.findings import Findings
from pipeline.bench.faults.invariants import exact, has_champion, result_of, same, settled, whole
from pipeline.bench.faults.moments import BEGUN, START, calls_of
from pipeline.bench.faults.nights import SESSION, Nights, Reference, Step, run_of
from pipeline.stages.registry import stages_of

ATTEMPTS = 5  # without a kill and without success, after which a command counts as stuck
STAGES = stages_of("consolidation").names


def kill_nights(nights: Nights, reference: Reference, findings: Findings, kills: int, random: Random) -> None:
    """Kill processes of inline nights and teachers until ``kills`` were killed.

    Args:
        nights: Gives roots and commands.
        reference: The undisturbed night.
        findings: Takes what happens.
        kills: How many.
        random: Draws the moments.
    """
    while findings.faults < kills:
        root = nights.root("kill")
        left = min(nights.config.kills_per_night, kills - findings.faults)
        problems: list[str] = []
        for step in nights.steps():
            share = left if step.runs else random.choice([0, 1])
            left -= _killed(nights, reference, findings, root, step, share, random)
        problems += findings.check(ended_well(nights, root, reference), root)
        nights.done_with(root, problems)


def ended_well(nights: Nights, root: Path, reference: Reference) -> list[str]:
    """Everything that has to hold once the first teacher and the first night are through."""
    run = run_of(root, 1)
    if run is None or not is_done(root):
        return [f"the night never ended: {run.path if run else root}"]
    found = whole(root) + exact(root, SESSION, nights.acknowledged(root, ["first"])) + settled(root)
    if reference.results[0]["report"]["promoted"]:
        found += has_champion(root)
    return found + same(result_of(run), reference.results[0])


def _killed(
    nights: Nights, reference: Reference, findings: Findings, root: Path, step: Step, share: int, random: Random
) -> int:
    """Repeat one command with ``share`` kills, then until it ends; returns how many were killed."""
    killed = vain = 0
    stages = sorted(random.choices((START, *STAGES), k=share), key=(START, *STAGES).index)
    while vain < ATTEMPTS:
        if killed < share and stages:
            ended = _attempt(nights, reference, root, step, stages.pop(0), random)
        else:
            ended = nights.engram.run(step.arguments, root)
        if ended.status == KILLED:
            killed += 1
            findings.fault(_where(root, step), "killed")
            findings.check(whole(root), root)
        elif ended.status == reference.ended[step.name].status:
            return killed
        else:
            vain += 1
            findings.check([f"{step.name} ends with {ended.status}: {ended.output[-600:]}"], root)
    return killed


def _attempt(nights: Nights, reference: Reference, root: Path, step: Step, wanted: str, random: Random) -> Ended:
    """One attempt with one moment ahead, in stage ``wanted`` or else a later one; the attempt may end before it."""
    left = unfinished(root)
    stage = START if not step.runs else wanted if wanted in (START, *left) else left[0] if left else START
    calls = [m for m in calls_of(reference.ended[step.name].calls) if m.stage == stage]
    if calls and random.random() < 0.5:
        return nights.engram.run(step.arguments, root, die_at=random.choice(calls))
    if step.runs and stage != START:
        lasts = reference.seconds[stage]
    else:
        lasts = reference.ended[step.name].seconds - sum(reference.seconds.values()) * bool(step.runs)
    running = nights.engram.start(step.arguments, root)
    if wait_for_stage(running, root, stage):
        time.sleep(random.random() * max(0.05, lasts))
    running.kill()
    return running.wait()


def is_done(root: Path, number: int = 1) -> bool:
    """Whether night ``number`` is through, and says so."""
    run = run_of(root, number)
    return run is not None and run.state == "done"


def unfinished(root: Path, number: int = 1) -> list[str]:
    """Stages that night ``number`` has not finished."""
    run = run_of(root, number)
    return [name for name in STAGES if run is None or not (run.stage_folder(name) / "manifest.json").exists()]


def wait_for_stage(running: Running, root: Path, stage: str, after_ns: int = 0) -> bool:
    """Wait until the stage begins in this attempt, and after a time; False when the command ended before."""
    while stage != START and running.alive:
        for path in root.glob(f"runs/*/*/*/{stage}"):
            begun = path / BEGUN
            if begun.exists() and begun.stat().st_mtime_ns > max(running.began_ns, after_ns):
                return True
        time.sleep(0.002)
    return running.alive


def _where(root: Path, step: Step) -> str:
    """The stage that the kill hit: the first one that is not finished."""
    if not step.runs:
        return "engram teach"
    left = unfinished(root)
    begun = [name for name in left if any(root.glob(f"runs/*/*/*/{name}/{BEGUN}"))]
    if not left:
        return "after the last stage"
    return begun[0] if begun else f"before {left[0]}"
