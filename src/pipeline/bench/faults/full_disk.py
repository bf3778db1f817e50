"""Run nights on a disk that is full at random sizes, a little larger each time, and at last large enough.

The disk is a tmpfs mount, so only root can have one.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from pipeline.bench.faults.commands import Ended
from pipeline.bench.faults.findings import Findings
from pipeline.bench.faults.invariants import whole
from pipeline.bench.faults.kill import ATTEMPTS, ended_well, unfinished
from pipeline.bench.faults.nights import Nights, Reference, Step, bytes_below
from pipeline.bench.isolation import BenchmarkError

SIZES_PER_DISK = 6
PLENTY = 4 * 2**30  # bytes; tmpfs takes what is written alone
BAD_INPUT = 2
BLOCK = 4096


def fill_disks(nights: Nights, reference: Reference, findings: Findings, random: Random) -> None:
    """Fill disks until ``full_disks`` commands met a full one; says so where this user cannot mount a disk.

    Args:
        nights: Gives roots and commands.
        reference: The undisturbed night.
        findings: Takes what happens.
        random: Draws the sizes.
    """
    if reason := cannot_mount(nights.work / "mount"):
        findings.extra["not run"] = f"a disk of limited size needs root: {reason}"
        return
    disks = 0
    while findings.faults < nights.config.full_disks:
        disks += 1
        root = nights.work / f"enospc-{disks:04d}"
        with disk(root):
            if disks % 4:
                nights.prepare(root)
            problems: list[str] = []
            for step in nights.steps():
                used = bytes_below(root)
                times = SIZES_PER_DISK if step.runs else 1
                sizes = sorted(random.randint(used, max(used, reference.bytes)) for _ in range(times))
                problems += _filled(nights, reference, findings, root, step, sizes)
            problems += findings.check(ended_well(nights, root, reference), root)


def _filled(
    nights: Nights, reference: Reference, findings: Findings, root: Path, step: Step, sizes: list[int]
) -> list[str]:
    """Repeat one command at growing sizes until it ends well; returns what did not hold."""
    problems: list[str] = []
    for _ in range(SIZES_PER_DISK + ATTEMPTS):
        resize(root, sizes[0] if sizes else PLENTY)
        ended = nights.engram.run(step.arguments, root)
        if ended.status == reference.ended[step.name].status:
            return problems
        left = unfinished(root)
        where = (left[0] if left else "after the last stage") if step.runs else "engram teach"
        wrong = unclear(ended, root)
        if not sizes:
            wrong = [f"{step.name} fails with room: {ended.output[-600:]}"]
        findings.fault(where, "something else" if wrong else "a clear error")
        resize(root, PLENTY)
        problems += findings.check(wrong + whole(root), root)
        del sizes[:1]
    return problems + findings.check([f"{step.name} never ends"], root)


def unclear(ended: Ended, root: Path) -> list[str]:
    """What is wrong with how a command failed: it has to be status 2 and one message that names a file of the root."""
    told = [line for line in ended.output.splitlines() if line.startswith("error: ")]
    if ended.status != BAD_INPUT or len(told) != 1 or "Traceback" in ended.output:
        return [f"no single clear error, status {ended.status}: {ended.output[-800:]}"]
    return [] if named_files(told[0], root) else [f"the error names no file: {told[0]}"]


def named_files(message: str, root: Path) -> list[str]:
    """Paths of a root that a message names, relative to it."""
    return [found.rstrip(".,:;)'\"") for found in re.findall(re.escape(str(root)) + r"/([^\s'\",;)]+)", message)]


@contextmanager
def disk(folder: Path) -> Iterator[None]:
    """A disk of its own at ``folder``, which is gone afterwards.

    Raises:
        BenchmarkError: The system does not mount one.
    """
    folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", f"size={PLENTY}", "engram-faults", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)
        folder.rmdir()


def resize(folder: Path, size: int) -> None:
    """Give the disk ``size`` bytes, but never less than is on it."""
    used = bytes_below(folder) + BLOCK
    for blocks in range(64):
        try:
            _mount("-o", f"remount,size={max(size, used + blocks * BLOCK)}", str(folder))
        except BenchmarkError:
            continue  # folders take blocks too
        return
    raise BenchmarkError(f"{folder}: cannot be made {size} bytes large")


def cannot_mount(folder: Path) -> str:
    """Why this user cannot mount a disk; empty when it works."""
    try:
        with disk(folder):
            return ""
    except (BenchmarkError, OSError) as error:
        return str(error)


def _mount(*arguments: str) -> None:
    try:
        subprocess.run(["mount", *arguments], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchmarkError(f"mount: {getattr(error, 'stderr', None) or error}".strip()) from None
