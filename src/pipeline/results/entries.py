"""One measurement of a seed: a run, or a month with all its nights."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.report.schema import Report
from pipeline.results.figures import figures_of
from pipeline.results.reading import Found, Run
from pipeline.results.settings import changed, defaults

MONTH, NIGHTLY = "month", "nightly"
_NIGHT = re.compile(r"(.+)-(\d{2,3})")


@dataclass(frozen=True)
class Entry:
    """One measurement of a seed: a run, or a month with its nights in order, the last of which holds the figures.

    Attributes:
        nights: A single run is one.
        planned: Nights that a month was to have; None where nobody kept it, and for a single run.
        whole: Whether the month came to its end.
        recognised: Settings that nobody kept, known by the digest of the configuration.
    """

    nights: tuple[Run, ...]
    planned: int | None = None
    whole: bool = True
    recognised: Mapping[str, Any] | None = None

    @property
    def run(self) -> Run:
        """The run that the figures are of."""
        return self.nights[-1]

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.run.report.seed

    @property
    def deployment(self) -> str:
        """Of a night of a month, the month's."""
        return self.run.report.deployment if self.whole else MONTH

    @property
    def target(self) -> str:
        """``FLOW/DEPLOYMENT``."""
        return f"{self.run.report.flow}/{self.deployment}"

    @property
    def name(self) -> str:
        """Deployment and id, for people."""
        return f"{self.deployment}/{self.run_id}"

    @property
    def run_id(self) -> str:
        """Of a month that was cut short, the month's."""
        found = None if self.whole else _NIGHT.fullmatch(self.run.report.run_id)
        return found[1] if found else self.run.report.run_id

    @cached_property
    def figures(self) -> dict[str, float]:
        """By name; see `pipeline.results.figures`."""
        return figures_of(self.nights)

    @cached_property
    def settings(self) -> dict[str, Any] | None:
        """What it set beyond the deployment's file; None where nobody kept it."""
        known = defaults(self.target)
        if self.run.config is None or known is None:
            return None if self.recognised is None else dict(self.recognised)
        config = dict(self.run.config)
        if not self.whole:  # a night of a month says how many facts it taught, the month how many nights there were
            config = {key: value for key, value in config.items() if not key.startswith(("suite.skip", "nights"))}
            config["nights.facts"] = config.pop("suite.n", None)
            config |= {"nights.count": self.planned} if self.planned else {}
        return changed(config, known)

    @property
    def facts(self) -> int | None:
        """Facts that one night taught, as its report counts them."""
        report = self.run.report
        return sum(suite.n for suite in report.suites.values()) if isinstance(report, Report) else None

    @property
    def count(self) -> int | None:
        """Nights of a month, done or planned."""
        if self.deployment != MONTH:
            return None
        if not self.whole:
            return self.planned
        retention = self.run.report.retention if isinstance(self.run.report, Report) else None
        return max(map(int, retention)) if retention else len(self.nights)

    @property
    def progress(self) -> str:
        """Nights that a month did, of those that it was to have."""
        return f"{len(self.nights)}{f' of {self.planned}' if self.planned else ''}"

    @property
    def refused(self) -> dict[str, tuple[str, ...]]:
        """Failed guards by night; of a single run under its own name."""
        return {night.report.run_id: night.refused for night in self.nights if night.refused}


def entries_of(found: Found) -> list[Entry]:
    """Runs, with the nights of each month put together."""
    months: dict[str, dict[int, Run]] = defaultdict(dict)
    heads: dict[str, Run] = {}
    entries: list[Entry] = []
    for run in found.runs:
        night = _NIGHT.fullmatch(run.report.run_id) if run.report.deployment == NIGHTLY else None
        if night:
            months[night[1]][int(night[2])] = run
        elif run.report.deployment == MONTH:
            heads[run.report.run_id] = run
        else:
            entries.append(Entry((run,)))
    planned = {stopped.run_id: stopped.nights for stopped in found.unfinished if stopped.deployment == MONTH}
    for name in sorted(months.keys() | heads.keys()):
        nights = tuple(run for _, run in sorted(months[name].items()))
        whole = name in heads
        entries.append(Entry((*nights, heads[name]) if whole else nights, planned.get(name), whole))
    return entries
