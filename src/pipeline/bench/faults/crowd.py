"""Several teachers and nights at once on one session: served in turn or refused in words, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from random import Random

from pipeline.bench.faults.commands import Ended, Running
from pipeline.bench.faults.findings import Findings
from pipeline.bench.faults.full_disk import BAD_INPUT
from pipeline.bench.faults.invariants import exact, settled, whole
from pipeline.bench.faults.nights import SESSION, Nights, Reference, Step

REFUSALS = (
    "another writer",
    "is in use by process",
    "is being run by process",
    "holds the log of recalls",
    "wait for it",
)
ROUNDS = 20  # of refused commands typed again


def crowds(nights: Nights, reference: Reference, findings: Findings, random: Random) -> None:
    """Start all teachers and nights at once, repeat what was refused, and look at the store.

    Args:
        nights: Gives roots and commands.
        reference: Not needed: the order of a crowd decides who is reused and who decays.
        findings: Takes what happens.
        random: Shuffles who starts first.
    """
    for number in range(nights.config.rounds):
        root = nights.root("crowd")
        teachers = [f"t{number}-{index}" for index in range(nights.config.teachers)]
        waiting = [*(nights.teach(name) for name in teachers), *map(nights.night, range(1, nights.config.nights + 1))]
        problems: list[str] = []
        for _ in range(ROUNDS):
            if not waiting:
                break
            random.shuffle(waiting)
            running = [(step, nights.engram.start(step.arguments, root)) for step in waiting]
            waiting = [step for step, process in running if not _served(findings, step, process, root, problems)]
        problems += findings.check([f"{step.name} is refused for ever" for step in waiting], root)
        problems += findings.check(whole(root) + settled(root), root)
        problems += findings.check(exact(root, SESSION, nights.acknowledged(root, teachers)), root)
        nights.done_with(root, problems)


def _served(findings: Findings, step: Step, process: Running, root: Path, problems: list[str]) -> bool:
    """Whether a command is through; one that was refused in words is to be repeated."""
    ended = process.wait()
    row = "night" if step.runs else "teacher"
    if ended.status in (0, 1):
        findings.fault(row, "served")
        return True
    clear = refused(ended)
    findings.table[row]["refused in words" if clear else "failed"] += 1
    if not clear:
        problems += findings.check([f"{step.name} ends with {ended.status}: {ended.output[-800:]}"], root)
    return False


def refused(ended: Ended) -> bool:
    """Whether a command was refused because another one is at work, in one message that says so."""
    told = [line for line in ended.output.splitlines() if line.startswith("error: ")]
    return ended.status == BAD_INPUT and len(told) == 1 and any(words in told[0] for words in REFUSALS)
