"""One campaign: the undisturbed night, then every kind of fault in turn."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from pipeline.artifacts import code_version, write_json
from pipeline.bench.faults.crowd import crowds
from pipeline.bench.faults.findings import Findings
from pipeline.bench.faults.flip import flip_files
from pipeline.bench.faults.full_disk import fill_disks
from pipeline.bench.faults.kill import kill_nights
from pipeline.bench.faults.nights import Nights, Reference
from pipeline.bench.faults.workers import kill_workers
from pipeline.bench.registry import BenchmarkFailed, Figures, register_benchmark
from pipeline.config import config_root, default_root, load_section
from pipeline.config.faults import FaultsBenchConfig, Kind
from pipeline.progress import Terminal
from pipeline.terminal import Console

Campaign = Callable[[Nights, Reference, Findings, Random], None]


@register_benchmark(
    "faults", "what nights lose under kills, full disks, damaged files and crowds: nothing, or an error"
)
def faults(settings: Sequence[str]) -> Figures:
    """Run the campaign; the result goes to ``benchmarks/faults/faults.json``.

    Args:
        settings: Overrides of configs/benchmarks/faults.yaml.

    Raises:
        ConfigError: A setting is wrong.
        BenchmarkError: A night fails undisturbed.
        BenchmarkFailed: Something that has to hold does not.
    """
    config = load_section(FaultsBenchConfig, config_root() / "benchmarks" / "faults.yaml", settings)
    if config.folder is not None:
        config.folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="engram-faults-", dir=config.folder))
    found: dict[str, Findings] = {}
    target = default_root() / "benchmarks" / "faults" / "faults.json"
    with Terminal(Console(stderr=True)) as shown:
        nights = Nights(config, work)
        with shown.stage("undisturbed") as progress:
            reference = nights.reference(progress.phase)
        for kind in config.kinds:
            with shown.stage(kind) as progress:
                findings = found[kind] = Findings(progress)
                progress.phase("faults", _wanted(kind, config))
                try:
                    _CAMPAIGNS[kind](nights, reference, findings, Random(f"{config.seed}/{kind}"))
                finally:
                    write_json(target, _result(config, reference, found))
    problems = [problem for findings in found.values() for problem in findings.problems]
    figures: Figures = {
        "result": str(target),
        "undisturbed teacher and night s": sum(reference.ended[step.name].seconds for step in nights.steps()),
        **{f"{kind}: {name}": value for kind, findings in found.items() for name, value in findings.extra.items()},
        **{kind: {row: dict(counts) for row, counts in f.table.items()} for kind, f in found.items()},
    }
    if problems:
        told = "\n".join(problems[:20])
        raise BenchmarkFailed(
            f"{len(problems)} things did not hold (all in {target}; folders below {work}):\n{told}", figures
        )
    if not config.keep:
        shutil.rmtree(work, ignore_errors=True)
    return figures


def _kills(nights: Nights, reference: Reference, findings: Findings, random: Random) -> None:
    """Shared out among the victims."""
    config = nights.config
    through_workers = [victim for victim in config.victims if victim != "inline"]
    inline = config.kills * config.victims.count("inline") // len(config.victims)
    if inline:
        kill_nights(nights, reference, findings, inline, random)
    if through_workers:
        kill_workers(nights, reference, findings, config.kills, through_workers, random)


def _wanted(kind: Kind, config: FaultsBenchConfig) -> int:
    crowd = config.rounds * (config.teachers + config.nights)
    return {"kill": config.kills, "enospc": config.full_disks, "flip": config.flips, "crowd": crowd}[kind]


def _result(config: FaultsBenchConfig, reference: Reference, found: dict[str, Findings]) -> dict[str, object]:
    return {
        "settings": config.model_dump(mode="json"),
        "code_version": code_version(),
        "seconds": {name: round(ended.seconds, 2) for name, ended in reference.ended.items()},
        **{kind: findings.to_json() for kind, findings in found.items()},
    }


_CAMPAIGNS: dict[Kind, Campaign] = {"kill": _kills, "enospc": fill_disks, "flip": flip_files, "crowd": crowds}
