"""``docs/results.md``: the summary against the bars, what is in no mean, then a section for every group of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.config.results import RowConfig
from pipeline.report.figures import NOT_MEASURED
from pipeline.report.markdown import escape
from pipeline.report.repeat import in_words
from pipeline.results.entries import Entry
from pipeline.results.extras import bench_section, sweep_section
from pipeline.results.grouping import Group
from pipeline.results.judging import ABSENT, MET, REPORTED, SHORT, Results, Row
from pipeline.results.sections import group_section
from pipeline.results.text import anchor, fixed, mean_cells, paragraph, table

GLOSSARY = """Every figure is read with the memory off, after the night, on questions that decided nothing, unless it
says otherwise. **EM** is the share of answers that are exactly the expected one. The **bar** is what the mean
over seeds has to reach, with no seed more than .05 below it: *short* names the seeds that did not; *reported* figures have no bar. A
**seed** draws everything anew: facts, names, phrasings, training. **95 %** is half of Student's interval over seeds;
of a single seed the interval over its facts, where there is one. **Guards** are the checks that a night has to pass
before its adapter is used; they read other questions than those reported here. **KL** says how far the model's
predictions on ordinary text moved from the base's, **perplexity** how much worse it predicts that text (1 is equal).
The *prior* is what somebody scores who knows no fact."""


def page(results: Results, plots: Iterable[str], commits: Mapping[str, str]) -> str:
    """The page as Markdown.

    Args:
        results: What was found, grouped and judged.
        plots: Names of the plots that exist, without ``.svg``.
        commits: Commit by version of the code, as far as it is known.
    """
    drawn = frozenset(plots)
    picture = "![headline figures with their intervals and bars](results/headlines.svg)"
    lines = [
        "# Results",
        "",
        *paragraph(
            f"{_when(results)} `engram results` writes this page; do not edit it. The bars stand in "
            "[configs/results.yaml](../configs/results.yaml), every number in [results.json](results.json); what was "
            "measured in other ways stands in [REPRODUCIBILITY.md](../REPRODUCIBILITY.md)."
        ),
        "## Summary",
        "",
        *paragraph(_tally(results)),
        *_summary(results),
        *paragraph(GLOSSARY),
        *([picture, ""] if "headlines" in drawn else []),
        *_left_out(results),
    ]
    for group in results.groups:
        if group.variants or group.unfinished:
            lines += group_section(group, drawn, commits)
    for sweep in results.found.sweeps:
        lines += sweep_section(sweep)
    for name, figures in results.found.benches.items():
        lines += bench_section(name, figures)
    return "\n".join(lines).rstrip() + "\n"


def _when(results: Results) -> str:
    runs = results.found.runs
    if not runs:
        return "No finished run was found."
    days = sorted({run.report.finished[:10] for run in runs})
    span = f"finished on {days[0]}" if len(days) == 1 else f"finished from {days[0]} to {days[-1]}"
    return f"{len(runs)} runs and nights, {span}."


def _tally(results: Results) -> str:
    """How many bars were met."""
    barred = [row for row in results.rows if bar_text(row.config) != NOT_MEASURED]
    counts = {verdict: sum(row.verdict == verdict for row in barred) for verdict in (MET, SHORT, ABSENT, REPORTED)}
    unknown = f" Of {counts[REPORTED]} the bar itself is not known." if counts[REPORTED] else ""
    told = f"Of {len(barred)} bars {counts[MET]} are met, {counts[SHORT]} are not, and {counts[ABSENT]} were not"
    return f"{told} measured.{unknown}"


def _summary(results: Results) -> list[str]:
    """One line a figure; the first of a group names it."""
    groups = {group.name: group for group in results.groups}
    rows, before = [], ""
    for row in results.rows:
        group = groups[row.config.group]
        there = group.variants or group.unfinished
        name = f"[{group.name}](#{anchor(group.config.title)}){_unlike(group)}" if there else group.name
        rows.append((name if group.name != before else "", *cells(row)))
        before = group.name
    return table(("runs", "what", "bar", "aim", "mean", "95 %", "each seed", "verdict"), rows)


def _unlike(group: Group) -> str:
    """What to know of the settings, where they are not those of the deployment."""
    if group.main is None or group.main.shipped:
        return ""
    return ", settings not kept" if group.main.settings is None else ", not as shipped"


def cells(row: Row) -> tuple[str, ...]:
    """One line of the summary, without the name of its group."""
    wanted, digits = row.config, decimals(row.config)
    mean, half = mean_cells(row.values, digits, sign=_is_change(wanted))
    if row.own is not None:
        half = f"{fixed(row.own[0], digits)} to {fixed(row.own[1], digits)}"
    seeds = ", ".join(
        f"{seed}: {fixed(value, digits, _is_change(wanted))}" for seed, value in sorted(row.values.items())
    )
    lacking = f"; not in {in_words(list(row.lacking))}" if row.values and row.lacking else ""
    aim = NOT_MEASURED if wanted.aim is None else short(wanted.aim)
    return wanted.title, bar_text(wanted), aim, mean, half, (seeds or NOT_MEASURED) + lacking, verdict(row)


def verdict(row: Row) -> str:
    """In words; a figure that is short names its seeds."""
    if row.verdict == SHORT:
        every = len(row.missed) == len(row.values)
        return f"**{SHORT}**" if every else f"**{SHORT}**: {in_words(sorted(row.missed))}"
    return f"{row.verdict}, one seed" if row.verdict == MET and len(row.values) == 1 else row.verdict


def bar_text(wanted: RowConfig) -> str:
    """``≥ 0.90``, or ``≤ prior + 0.05``."""
    if wanted.within is not None:
        return f"± {short(wanted.within)}"
    bar = wanted.at_least if wanted.at_least is not None else wanted.at_most
    if bar is None:
        return NOT_MEASURED
    added = "" if wanted.over is None else f"{'prior' if 'prior' in wanted.over else wanted.over} + "
    return f"{'≥' if wanted.at_least is not None else '≤'} {added}{short(bar)}"


def short(value: float) -> str:
    """A bar: two decimals, or as many as it has."""
    return fixed(value, 2) if round(value, 2) == value else f"{value:g}".replace("-", "−")


def decimals(wanted: RowConfig) -> int:
    """Four for divergence and perplexity, else three."""
    return 4 if wanted.figure.startswith(("drift.", "kl_")) else 3


def _is_change(wanted: RowConfig) -> bool:
    return wanted.within is not None or wanted.figure.endswith((".delta", "transfer"))


def _left_out(results: Results) -> list[str]:
    """Every run that is in no mean, and why."""
    found, variants = results.found, [variant for group in results.groups for variant in group.variants]
    reasons: dict[str, list[str]] = {
        "failed or did not finish": [
            f"`{run.deployment}/{run.run_id}`, seed {run.seed} ({escape(f'{run.state}: {run.error}'.strip(': '))})"
            for run in found.unfinished
        ],
        "months were cut short": [
            f"{_named(e)}, after night {e.progress}" for variant in variants for e in variant.short
        ],
        "gave way to a run of the same seed and settings with newer code, more questions, or a later date": [
            f"{_named(e)}, code {e.run.report.code_version[:8]}" for variant in variants for e in variant.superseded
        ],
        "have settings that differ, though nobody kept how": [
            _named(e) for variant in variants for e in variant.ambiguous
        ],
        "files could not be read": [f"`{file}`: {escape(reason)}" for file, reason in found.unreadable],
    }
    refused = sum(bool(run.refused) for run in found.runs)
    count = (
        f"Of {len(found.runs)} finished runs and nights {refused} were refused by a guard. They count like all others, "
        "and are named in the tables of runs."
    )
    told = [f"- {len(names)} {reason}: {'; '.join(names)}." for reason, names in reasons.items() if names]
    return ["### Refused, failed and left out", "", *paragraph(count), *told, *([""] if told else [])]


def _named(entry: Entry) -> str:
    return f"`{entry.name}`, seed {entry.seed}"
