"""Hold figures against bars: mean over seeds, interval, how far a seed may be below, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from pipeline.config.results import ResultsConfig, RowConfig
from pipeline.report.numbers import matches
from pipeline.report.repeat import OverSeeds, over_seeds
from pipeline.results.entries import Entry
from pipeline.results.grouping import Group, Variant, group
from pipeline.results.reading import Found

MET, SHORT, REPORTED, ABSENT = "met", "short", "reported", "not measured"
BELOW = 0.05  # how far a single seed may be below a bar that the mean reaches
ROUNDING = 1e-9  # a share of a few hundred questions is no exact number


@dataclass(frozen=True)
class Row:
    """One line of the summary.

    Attributes:
        config: What it asks.
        values: Figure by seed; empty where it was not measured.
        bars: By seed what it had to reach, as far as it is known; the figure that is added differs between runs.
        missed: Seeds on the wrong side of their bar, or further than `BELOW` below one that the mean reaches.
        lacking: Seeds whose reports do not hold the figure.
        own: Of a single seed, the interval that its report states over its facts.
    """

    config: RowConfig
    values: Mapping[int, float]
    bars: Mapping[int, float]
    missed: tuple[int, ...]
    lacking: tuple[int, ...]
    own: tuple[float, float] | None = None

    @property
    def spread(self) -> OverSeeds | None:
        """Mean and Student's interval over the seeds that have it."""
        return spread(self.values)

    @property
    def verdict(self) -> str:
        """Met where the mean meets it and no seed is further than `BELOW` below it."""
        if not self.values:
            return ABSENT
        if not self.bars:
            return REPORTED
        return SHORT if self.missed else MET


@dataclass(frozen=True)
class Results:
    """The whole page."""

    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    found: Found


def judge(found: Found, config: ResultsConfig) -> Results:
    """Group what was found, and hold it against every bar."""
    groups = group(found, config)
    by_name = {each.name: each for each in groups}
    rows = [row_of(wanted, by_name[wanted.group].main) for wanted in config.rows]
    return Results(tuple(rows), tuple(groups), found)


def row_of(wanted: RowConfig, variant: Variant | None) -> Row:
    """One figure of the entries that count."""
    entries = variant.entries if variant else ()
    have = {entry.seed: entry for entry in entries if wanted.figure in entry.figures}
    values = {seed: entry.figures[wanted.figure] for seed, entry in have.items()}
    bars = {seed: bar for seed, entry in have.items() if (bar := bar_of(wanted, entry)) is not None}
    missed = _missed(wanted, values, bars)
    lacking = tuple(entry.seed for entry in entries if entry.seed not in have)
    return Row(wanted, values, bars, missed, lacking, _own_interval(wanted, list(have.values())))


def _missed(wanted: RowConfig, values: Mapping[int, float], bars: Mapping[int, float]) -> tuple[int, ...]:
    """Seeds that keep a bar from being met; none where it is met."""
    if not bars:
        return ()
    size = abs if wanted.within is not None else float  # figures of both signs must not cancel out
    met = reaches(wanted, mean(size(values[seed]) for seed in bars), mean(bars.values()))
    slack = BELOW if wanted.at_least is not None else math.inf
    return tuple(
        seed
        for seed, bar in bars.items()
        if (values[seed] < bar - slack - ROUNDING if met else not reaches(wanted, values[seed], bar))
    )


def _own_interval(wanted: RowConfig, entries: Sequence[Entry]) -> tuple[float, float] | None:
    """What a single report says of an arm's EM, bootstrapped by fact and then form."""
    if len(entries) != 1:
        return None
    figures, name = entries[0].figures, f"{wanted.figure}_ci95"
    return (figures[f"{name}.low"], figures[f"{name}.high"]) if f"{name}.low" in figures else None


def bar_of(wanted: RowConfig, entry: Entry) -> float | None:
    """The bar of one run; None without one, or where the figure that is added to it was not measured."""
    bars = [bar for bar in (wanted.at_least, wanted.at_most, wanted.within) if bar is not None]
    added = 0.0 if wanted.over is None else entry.figures.get(wanted.over)
    return None if not bars or added is None else bars[0] + added


def reaches(wanted: RowConfig, value: float, bar: float) -> bool:
    """Whether a figure meets its bar."""
    if wanted.within is not None:
        return abs(value) <= bar + ROUNDING
    return value >= bar - ROUNDING if wanted.at_least is not None else value <= bar + ROUNDING


def spread(values: Mapping[int, float]) -> OverSeeds | None:
    """Mean and interval of one figure by seed; None without any."""
    return over_seeds({seed: {"": value} for seed, value in values.items()})[0][""] if values else None


def shared(entries: Sequence[Entry], pattern: str) -> dict[str, dict[int, float]]:
    """Figures that a pattern such as ``arms.*.em`` means, by name and seed, in the order of the first entry."""
    names = dict.fromkeys(
        name
        for entry in entries
        for name in entry.figures
        if name.count(".") == pattern.count(".") and matches(name, pattern)
    )
    return {name: {e.seed: e.figures[name] for e in entries if name in e.figures} for name in names}
