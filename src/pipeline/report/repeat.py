"""``repeat.json`` (schema ``repeat/1``) and ``repeat.md``: a deployment's figures over several seeds.

Every figure that all finished seeds have, with its mean, Student's 95 % interval over seeds, lowest and highest value;
and every seed's run with the configuration and code that it used.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from pipeline.artifacts import read_json
from pipeline.errors import ArtifactError
from pipeline.evaluation.seeds import mean_over_seeds
from pipeline.report.base import Part
from pipeline.report.figures import NOT_MEASURED, Table, number
from pipeline.report.markdown import escape, section
from pipeline.report.numbers import LOWEST, MEAN

LARGE = 100  # from here on one decimal does
SHOWN = 12  # digits of a code version


class SeedRun(Part):
    """One seed's finished run: what decided it, and which guards it failed."""

    seed: int
    run_id: str
    config_hash: str
    code_version: str
    failed_guards: tuple[str, ...]


class OverSeeds(Part):
    """One figure over seeds; ``interval`` is Student's at 95 %, None for a single seed."""

    mean: float
    interval: tuple[float, float] | None
    lowest: float
    highest: float
    n: int
    values: dict[str, float]  # by seed


class Repeat(Part):
    """One deployment with one set of settings, repeated.

    ``seeds`` are those that were asked for; ``runs`` also keeps those that an earlier command asked for. ``left_out``
    are figures that some finished seeds have and others have not.
    """

    schema_name: Literal["repeat/1"] = "repeat/1"
    target: str
    name: str
    settings: tuple[str, ...]
    config: dict[str, Any]  # all that decides a run, but for its seed
    seeds: tuple[int, ...]
    runs: tuple[SeedRun, ...] = ()
    figures: dict[str, OverSeeds] = Field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def finished(self) -> list[SeedRun]:
        """Runs of the seeds that were asked for, in their order."""
        runs = {run.seed: run for run in self.runs}
        return [runs[seed] for seed in self.seeds if seed in runs]

    @property
    def failed(self) -> list[SeedRun]:
        """Those of them that failed a guard."""
        return [run for run in self.finished if run.failed_guards]


def read_repeat(path: Path) -> Repeat:
    """Read ``repeat.json``.

    Raises:
        ArtifactError: It is missing, torn, or of another schema.
    """
    try:
        return Repeat.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ArtifactError(f"{path}: not of schema repeat/1: {where}: {first['msg']}; choose another --name") from None


def over_seeds(by_seed: Mapping[int, Mapping[str, float]]) -> tuple[dict[str, OverSeeds], tuple[str, ...]]:
    """Every figure that all seeds have, and the names of those that only some have.

    Args:
        by_seed: Figures by seed and name.
    """
    names = dict.fromkeys(name for figures in by_seed.values() for name in figures)
    common = [name for name in names if all(name in figures for figures in by_seed.values())]
    found = {name: _spread({seed: figures[name] for seed, figures in by_seed.items()}) for name in common}
    return found, tuple(name for name in names if name not in found)


def _spread(values: Mapping[int, float]) -> OverSeeds:
    mean = mean_over_seeds(list(values.values()))
    return OverSeeds(
        mean=mean.value,
        interval=None if mean.margin is None else (mean.value - mean.margin, mean.value + mean.margin),
        lowest=min(values.values()),
        highest=max(values.values()),
        n=len(values),
        values={str(seed): value for seed, value in values.items()},
    )


def repeat_table(repeat: Repeat) -> Table:
    """One row a figure."""
    rows = []
    for name, found in repeat.figures.items():
        digits = 4 if abs(found.mean) < LARGE else 1
        margin = NOT_MEASURED if found.interval is None else f"± {found.interval[1] - found.mean:,.{digits}f}"
        mean, *ends = (f"{value + 0.0:,.{digits}f}" for value in (found.mean, found.lowest, found.highest))
        rows.append((name, mean, margin, *ends, number(found.n)))
    done, asked = len(repeat.finished), len(repeat.seeds)
    seeds = f"{done} seed{'' if done == 1 else 's'}" if done == asked else f"{done} of {asked} seeds"
    return Table(f"{repeat.target} over {seeds}", ("figure", "mean", "95 %", "lowest", "highest", "n"), tuple(rows))


def explanation(repeat: Repeat) -> str:
    """What the columns and rows of `repeat_table` are."""
    over_tasks = any(name.endswith((MEAN, LOWEST)) for name in repeat.figures)
    tasks = "; rows with (mean) and (lowest) were taken over tasks first, seed by seed" if over_tasks else ""
    return f"95 %: half of Student's interval over seeds{tasks}."


def runs_table(repeat: Repeat) -> Table:
    """One row a seed."""
    rows = [
        (str(run.seed), run.run_id, run.config_hash, run.code_version[:SHOWN], _verdict(run)) for run in repeat.finished
    ]
    return Table("Runs", ("seed", "run", "config", "code", "guards"), tuple(rows))


def _verdict(run: SeedRun) -> str:
    return f"FAILED: {', '.join(run.failed_guards)}" if run.failed_guards else "passed"


def cautions(repeat: Repeat) -> list[str]:
    """What a reader of the table has to know: other code in some runs, figures that not every run has."""
    found = []
    versions: dict[str, list[int]] = {}
    for run in repeat.finished:
        versions.setdefault(run.code_version[:SHOWN], []).append(run.seed)
    if len(versions) > 1:
        told = "; ".join(f"{version} ran {in_words(seeds)}" for version, seeds in versions.items())
        found.append(f"the code changed between the runs: {told}")
    if repeat.left_out:
        found.append(f"left out, as not every seed has it: {', '.join(repeat.left_out)}")
    return found


def in_words(seeds: list[int]) -> str:
    """``seed 3``, or ``seeds 1, 2``."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def repeat_markdown(repeat: Repeat) -> str:
    """``repeat.md``: the table, what to know about it, every run, and the command."""
    table = repeat_table(repeat)
    options = [f"--set {shlex.quote(setting)}" for setting in repeat.settings]
    command = " ".join(["engram repeat", repeat.target, f"--seeds {','.join(map(str, repeat.seeds))}", *options])
    lines = [
        f"# Repeat {repeat.name}",
        "",
        explanation(repeat),
        "",
        *(f"> {escape(caution)}\n" for caution in cautions(repeat)),
        *section(table),
        *section(runs_table(repeat)),
        f"    {command}",
    ]
    return "\n".join(lines).rstrip() + "\n"
