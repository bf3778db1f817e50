"""``sweep.csv`` and ``sweep.md``: one row a variant, its figures over seeds; `pipeline.report.sweep_plots` draws them.

A figure is a mean over seeds with Student's 95 % interval, as in `pipeline.report.repeat`. Where a variant has one
seed, the interval of its held-out EM is the run's own, bootstrapped by fact and then form. What has a
baseline has one figure more: by how much its held-out EM exceeds that of the baseline (`pipeline.report.gain`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.artifacts import RunFolder, list_runs, stage_results, write_bytes
from pipeline.errors import ArtifactError
from pipeline.report.figures import NOT_MEASURED, Table, number
from pipeline.report.flows import load_any_report
from pipeline.report.gain import Gain, gain
from pipeline.report.markdown import escape, section
from pipeline.report.repeat import SHOWN, OverSeeds, over_seeds
from pipeline.report.schema import Report

Figure = tuple[str, int, Callable[[Report], float | None]]  # title, decimals, how a report tells it


def _em(arm: str) -> Callable[[Report], float | None]:
    return lambda report: report.arms[arm].em if arm in report.arms else None


def _worst_form(report: Report) -> float | None:
    arm = report.arms.get("post_off_heldout")
    return min((cell.em for cell in arm.by_form.values()), default=None) if arm else None


def _all_nights(report: Report) -> float | None:
    """Mean over nights of what is left of each after the last one."""
    if not report.retention:
        return None
    last = report.retention[max(report.retention, key=int)]
    return sum(last.values()) / len(last) if last else None


def _pinned_and_rewarded(report: Report) -> float | None:
    return report.pinned_and_rewarded["either"].value if report.pinned_and_rewarded else None


HELD_OUT, ALL_NIGHTS, GAIN = "held_out", "all_nights", "gain"
FIGURES: Mapping[str, Figure] = {
    HELD_OUT: ("held out", 3, _em("post_off_heldout")),
    ALL_NIGHTS: ("all nights", 3, _all_nights),
    "worst_form": ("worst form", 2, _worst_form),
    "near_miss": ("near miss", 3, _em("near_miss")),
    "untaught": ("untaught", 3, _em("untaught")),
    "kl": ("KL", 4, lambda report: report.drift.kl_base if report.drift else None),
    "ppl_ratio": ("perplexity", 3, lambda report: report.drift.ppl_ratio if report.drift else None),
    "kept": ("kept", 3, lambda report: report.sanity.kept if report.sanity else None),
    "takeover": ("takeover", 3, lambda report: report.takeover),
    "pinned_and_rewarded": ("pinned, rewarded", 3, _pinned_and_rewarded),
    "rows": ("rows", 0, lambda report: report.lora.examples if report.lora else None),
}
"""Figures of a run by their names in ``sweep.csv``; `Measured` adds ``tokens`` and ``seconds``."""
COST = {"tokens": ("tokens", 0), "seconds": ("seconds", 0)}


@dataclass(frozen=True)
class Measured:
    """A finished run: its report, and what it cost with all the nights that belong to it.

    ``answers`` is where its answers lie, for what the report does not tell.
    """

    variant: str
    seed: int
    run_id: str
    report: Report
    tokens: int
    seconds: float
    answers: Path | None = None

    @property
    def figures(self) -> dict[str, float]:
        """What was measured, by name."""
        found = {name: tell(self.report) for name, (_, _, tell) in FIGURES.items()}
        told = {name: float(value) for name, value in found.items() if value is not None}
        return told | {"tokens": float(self.tokens), "seconds": self.seconds}


@dataclass(frozen=True)
class Variant:
    """One row: what was changed, the finished runs, and what went wrong with others (seed, message).

    ``axis`` is the value of the sweep's axis, if it has one; ``baseline`` the variant that it is compared with.
    """

    name: str
    target: str
    settings: tuple[str, ...]
    axis: float | None
    runs: tuple[Measured, ...]
    failures: tuple[tuple[int, str], ...]
    seeds: tuple[int, ...]
    baseline: str | None = None

    @cached_property
    def figures(self) -> dict[str, OverSeeds]:
        """Every figure that all its runs have, over seeds."""
        return over_seeds({run.seed: run.figures for run in self.runs})[0]

    def interval(self, name: str) -> tuple[float, float] | None:
        """95 % of a figure: over seeds, or of held-out EM over the facts of the only one."""
        if (found := self.figures.get(name)) is None:
            return None
        if found.interval is None and name == HELD_OUT:
            return self.runs[0].report.arms["post_off_heldout"].em_ci95
        return found.interval


@dataclass(frozen=True)
class Sweep:
    """Every variant with what is finished of it."""

    name: str
    title: str
    axis: str | None
    variants: tuple[Variant, ...]

    def gain(self, variant: Variant) -> Gain | None:
        """By how much a variant's held-out EM exceeds its baseline's; None where there is no such pair of runs."""
        others = [run for other in self.variants if other.name == variant.baseline for run in other.runs]
        return gain(variant.runs, others)

    @property
    def failures(self) -> list[str]:
        """Runs that could not finish, one line each."""
        return [f"{v.name}, seed {seed}: {error}" for v in self.variants for seed, error in v.failures]

    @property
    def headline(self) -> str:
        """The figure that is drawn: what is left of all nights where any variant has several."""
        return ALL_NIGHTS if any(ALL_NIGHTS in variant.figures for variant in self.variants) else HELD_OUT


def measured(variant: str, seed: int, run: RunFolder) -> Measured:
    """Read what a finished run found; of a month, the cost of every night.

    Raises:
        ArtifactError: Its report is missing, or of another flow.
    """
    report = load_any_report(run.path)
    if not isinstance(report, Report):
        raise ArtifactError(f"{run.path}: expected a report of flow consolidation, found {report.flow}")
    nights = [
        other
        for other in list_runs(run.root, report.flow)
        if other.run_id.startswith(f"{run.run_id}-") and other.state == "done"
    ]
    reports = [report, *(found for night in nights if isinstance(found := load_any_report(night.path), Report))]
    tokens = sum(found.lora.tokens for found in reports if found.lora)
    seconds = sum(sum(found.timings.values()) for found in reports)
    evaluated = stage_results(run).get("evaluate")
    answers = None if evaluated is None else evaluated.path / "answers.parquet"
    return Measured(variant, seed, run.run_id, report, tokens, seconds, answers)


def headline_of(variant: Variant, headline: str) -> tuple[float, tuple[float, float] | None] | None:
    """Mean and interval of the drawn figure; a single night in a sweep of months has its held-out EM."""
    name = headline if headline in variant.figures else HELD_OUT
    found = variant.figures.get(name)
    return None if found is None else (found.mean, variant.interval(name))


def sweep_table(sweep: Sweep) -> Table:
    """One row a variant; figures that no variant has are left out."""
    known = {**{name: (title, digits) for name, (title, digits, _) in FIGURES.items()}, **COST}
    names = [name for name in known if any(name in variant.figures for variant in sweep.variants)]
    columns = [
        column for name in names for column in ((known[name][0], "95 %") if name in _SPREAD else known[name][:1])
    ]
    compared = any(variant.baseline for variant in sweep.variants)
    columns += ["held out, over", "95 %"] if compared else []
    rows = []
    for variant in sweep.variants:
        cells = []
        for name in names:
            found = variant.figures.get(name)
            digits = known[name][1]
            cells.append(NOT_MEASURED if found is None else f"{found.mean:,.{digits}f}")
            if name in _SPREAD:
                cells.append(_bounds(variant.interval(name)))
        if compared:
            more = sweep.gain(variant)
            told = NOT_MEASURED if more is None else f"{more[0]:+.3f}, {variant.baseline}"
            cells += [told, _bounds(None if more is None else more[1])]
        promoted = sum(run.report.promoted for run in variant.runs)
        done = f"{len(variant.runs)} of {len(variant.seeds)}"
        rows.append((variant.name, *cells, f"{promoted} of {len(variant.runs)}", done))
    return Table(sweep.title, ("variant", *columns, "promoted", "seeds"), tuple(rows))


def _bounds(interval: tuple[float, float] | None) -> str:
    return NOT_MEASURED if interval is None else f"{number(interval[0])} to {number(interval[1])}"


_SPREAD = (HELD_OUT, ALL_NIGHTS)


def sweep_csv(sweep: Sweep) -> str:
    """Every figure with mean and interval, full precision; what was not measured is empty."""
    names = [*FIGURES, *COST]
    header = ["variant", "target", "settings", "axis", "seeds", "promoted"]
    compared = (GAIN,) if any(variant.baseline for variant in sweep.variants) else ()
    header += [column for name in (*names, *compared) for column in (name, f"{name}_low", f"{name}_high")]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*header, "failed"])
    for variant in sweep.variants:
        cells: list[object] = [variant.name, variant.target, " ".join(variant.settings)]
        cells += ["" if variant.axis is None else variant.axis, " ".join(str(run.seed) for run in variant.runs)]
        cells.append(sum(run.report.promoted for run in variant.runs))
        for name in names:
            found, bounds = variant.figures.get(name), variant.interval(name)
            cells += ["" if found is None else found.mean, *(bounds or ("", ""))]
        if compared:
            mean, bounds = sweep.gain(variant) or ("", None)
            cells += [mean, *(bounds or ("", ""))]
        writer.writerow([*cells, "; ".join(f"seed {seed}: {error}" for seed, error in variant.failures)])
    return out.getvalue()


def sweep_markdown(sweep: Sweep) -> str:
    """The table, what to know about it, the settings of every variant, and every run."""
    settings = [
        (v.name, v.target, "; ".join(v.settings) or "as they are", " ".join(map(str, v.seeds))) for v in sweep.variants
    ]
    runs = [
        (run.variant, str(run.seed), run.run_id, run.report.code_version[:SHOWN], _failed_guards(run.report))
        for variant in sweep.variants
        for run in variant.runs
    ]
    versions = {run[3] for run in runs}
    lines = [
        f"# Sweep {sweep.name}",
        "",
        EXPLANATION,
        "",
        *(["> the code changed between the runs: see the table of runs\n"] if len(versions) > 1 else []),
        *(f"> not finished: {escape(failure)}\n" for failure in sweep.failures),
        *section(sweep_table(sweep)),
        "![the same as a plot](sweep.png)",
        "",
        *section(Table("Settings", ("variant", "deployment", "settings", "seeds"), tuple(settings))),
        *section(Table("Runs", ("variant", "seed", "run", "code", "failed guards"), tuple(runs))),
    ]
    return "\n".join(lines).rstrip() + "\n"


EXPLANATION = (
    "Means over seeds; 95 %: Student's interval over seeds, or, of a single seed, bootstrapped by fact and then form. "
    "Memory off, after the night. Low is good in near miss, untaught, KL and takeover; perplexity is the ratio to the "
    "base's, kept the share of the base's right answers that stay right. Tokens and seconds are those of all nights."
)


def _failed_guards(report: Report) -> str:
    return ", ".join(guard.name for guard in report.guards if not guard.passed) or "none"


def write_sweep(sweep: Sweep, folder: Path) -> None:
    """Write the table as CSV and Markdown, and, once anything is finished, the plot as SVG and PNG."""
    from pipeline.report.plots import png
    from pipeline.report.sweep_plots import svg, sweep_plot

    write_bytes(folder / "sweep.csv", sweep_csv(sweep).encode())
    write_bytes(folder / "sweep.md", sweep_markdown(sweep).encode())
    figure = sweep_plot(sweep)
    if figure is not None:
        write_bytes(folder / "sweep.svg", svg(figure))
        write_bytes(folder / "sweep.png", png(figure))
