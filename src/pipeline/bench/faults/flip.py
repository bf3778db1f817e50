"""Flip bytes of published files, or tear them, and go on: the result stays the same, or an error names the file.

Half of the nights are damaged after a kill and continued by the same command. The others are damaged when they are
done: their report is read, and a second night goes on from them. Where an error names the file, the file is restored as
the message asks, and the command has to end well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from pipeline.bench.faults.commands import HANGS, Ended
from pipeline.bench.faults.findings import Findings
from pipeline.bench.faults.full_disk import BAD_INPUT, named_files
from pipeline.bench.faults.invariants import result_of, same
from pipeline.bench.faults.kill import unfinished, wait_for_stage
from pipeline.bench.faults.nights import Nights, Reference, Step, run_of

KINDS: Mapping[str, Callable[[str], bool]] = {
    "store table": lambda p: "/gen-" in p and p.endswith(".parquet"),
    "store manifest": lambda p: p.endswith("CURRENT.json") or ("/gen-" in p and p.endswith("manifest.json")),
    "checkpoint": lambda p: p.endswith(("/checkpoint.safetensors", "/lower_states.safetensors")),
    "adapter": lambda p: "/adapter/" in p or "/slow/" in p,
    "targets": lambda p: p.endswith("/sleep_distil/targets.parquet"),
    "stage manifest": lambda p: p.endswith("/manifest.json") and p.count("/") == 5,
    "run manifest": lambda p: p.endswith("/manifest.json") and p.count("/") == 4,
    "settings": lambda p: p.endswith("/config.yaml"),
    "report": lambda p: p.count("/") == 4 and Path(p).name in ("report.json", "report.md", "report.html"),
    "stage file": lambda p: p.count("/") == 5 and not Path(p).name.startswith("."),
}
"""Kinds of published files by what their path below the root looks like; the first that fits counts."""


def flip_files(nights: Nights, reference: Reference, findings: Findings, random: Random) -> None:
    """Damage files until ``flips`` were.

    Args:
        nights: Gives roots and commands.
        reference: The undisturbed night.
        findings: Takes what happens.
        random: Draws moments, files and bytes.
    """
    while findings.faults < nights.config.flips:
        root = nights.root("flip")
        teach, night = nights.steps()
        nights.engram.run(teach.arguments, root)
        if random.random() < 0.5:
            _interrupt(nights, reference, root, night, random)
            problems = _damaged(nights, findings, root, night, reference.results[0], random)
        else:
            nights.engram.run(night.arguments, root)
            run = run_of(root, 1)
            assert run is not None
            report = Step("report", ("report", str(run.path)), 1)
            problems = _damaged(nights, findings, root, nights.night(2), reference.results[1], random, report)
        nights.done_with(root, problems)


def _interrupt(nights: Nights, reference: Reference, root: Path, step: Step, random: Random) -> None:
    """Kill a night within one of its stages."""
    stage = random.choice(unfinished(root))
    running = nights.engram.start(step.arguments, root)
    if wait_for_stage(running, root, stage):
        time.sleep(random.random() * reference.seconds[stage])
    running.kill()
    running.wait()


def _damaged(
    nights: Nights,
    findings: Findings,
    root: Path,
    step: Step,
    wanted: dict[str, Any],
    random: Random,
    report: Step | None = None,
) -> list[str]:
    """Damage one file, then run ``step``, which has to make ``wanted`` or an error; returns what did not hold.

    ``report`` is a command that has to print the same before and after, or to fail in words.
    """
    shown = nights.engram.run(report.arguments, root).output if report else ""
    kind, path = choose(root, random)
    before = path.read_bytes()
    how = damage(path, random)
    name = path.relative_to(root).as_posix()
    wrong: list[str] = []
    if report is not None:
        read = nights.engram.run(report.arguments, root)
        if read.output != shown:
            wrong += _names(read, root, name)
    ended = nights.engram.run(step.arguments, root)
    outcome = "recomputed, or not read"
    if ended.status not in (0, 1):
        outcome = "an error names it"
        wrong += _names(ended, root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(before)
        ended = nights.engram.run(step.arguments, root)
    run = run_of(root, step.runs)
    if ended.status not in (0, 1) or run is None or run.state != "done":
        wrong.append(f"{step.name} does not end: {ended.output[-600:]}")
    else:
        wrong += same(result_of(run), wanted)
    findings.fault(kind, "wrong" if wrong else outcome)
    return findings.check([f"{name}, {how}: {problem}" for problem in wrong], root)


def _names(ended: Ended, root: Path, name: str) -> list[str]:
    """What is wrong with an error about a damaged file."""
    if ended.status != BAD_INPUT or "Traceback" in ended.output:
        return [f"{'hangs' if ended.status == HANGS else 'no clear error'}, {ended.status}: {ended.output[-600:]}"]
    return [] if name in named_files(ended.output, root) else [f"the error names another file: {ended.output[-600:]}"]


def choose(root: Path, random: Random) -> tuple[str, Path]:
    """A kind of file that lies below a root, and a file of that kind that is not empty."""
    found: dict[str, list[Path]] = {}
    for path in sorted(root.glob("runs/**/*")) + sorted(root.glob("memory/**/*")):
        name = path.relative_to(root).as_posix()
        kind = next((kind for kind, fits in KINDS.items() if fits(name)), None)
        if kind and path.is_file() and path.stat().st_size and not path.name.endswith(".tmp"):
            found.setdefault(kind, []).append(path)
    kind = random.choice(sorted(found))
    return kind, random.choice(found[kind])


def damage(path: Path, random: Random) -> str:
    """Flip some bits of one byte of a file, or cut its end off; returns which."""
    data = bytearray(path.read_bytes())
    at = random.randrange(len(data))
    if random.random() < 0.3:
        del data[at:]
        told = f"torn after {at} bytes"
    else:
        data[at] ^= random.randrange(1, 256)
        told = f"byte {at} flipped"
    with path.open("r+b") as file:
        file.truncate(len(data))
        file.write(data)
    return told
