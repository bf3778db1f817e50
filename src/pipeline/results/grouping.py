"""Which runs are one measurement: nights of a month, seeds of one setting, and the settings of one deployment.

Of two runs of a seed with the same settings the newest code counts, then the run that asked most questions, then the
newest. Where nobody kept the settings, runs are told apart by what the report says of the adapter's; two runs of one
seed and code that were configured differently are then ambiguous, and neither counts.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.config import canonical_json
from pipeline.config.results import GroupConfig, ResultsConfig
from pipeline.report.schema import Report
from pipeline.results.figures import figures_of
from pipeline.results.reading import Found, Run, Unfinished
from pipeline.results.settings import changed, defaults, text_of

MONTH, NIGHTLY = "month", "nightly"
_NIGHT = re.compile(r"(.+)-(\d{2,3})")
SIZES = ("suite.n", "nights.count", "nights.facts")


@dataclass(frozen=True)
class Entry:
    """One measurement of a seed: a run, or a month with its nights in order, the last of which holds the figures.

    Attributes:
        nights: A single run is one.
        planned: Nights that a month was to have; None where nobody kept it, and for a single run.
        whole: Whether the month came to its end.
    """

    nights: tuple[Run, ...]
    planned: int | None = None
    whole: bool = True

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
            return None
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
        retention = self.run.report.retention if isinstance(self.run.report, Report) else None
        return max(map(int, retention)) if self.whole and retention else self.planned

    @property
    def progress(self) -> str:
        """Nights that a month did, of those that it was to have."""
        return f"{len(self.nights)}{f' of {self.planned}' if self.planned else ''}"

    @property
    def refused(self) -> dict[str, tuple[str, ...]]:
        """Failed guards by night; of a single run under its own name."""
        return {night.report.run_id: night.refused for night in self.nights if night.refused}


@dataclass(frozen=True)
class Variant:
    """Entries with the same settings.

    Attributes:
        settings: Beyond the deployment's file and the group's, without what changes no night; None where unknown.
        label: The same in words.
        entries: One a seed, by seed: what counts.
        superseded: Entries of the same seeds that do not count.
        ambiguous: Entries whose settings differ in ways that nobody kept.
        short: Months that did not come to their end; they do not count.
    """

    settings: Mapping[str, Any] | None
    label: str
    entries: tuple[Entry, ...]
    superseded: tuple[Entry, ...] = ()
    ambiguous: tuple[Entry, ...] = ()
    short: tuple[Entry, ...] = ()

    @property
    def shipped(self) -> bool:
        """Whether the settings are known, and those of the deployment's file."""
        return self.settings is not None and not self.settings

    @property
    def codes(self) -> list[str]:
        """Versions of the code that its entries ran on."""
        return sorted({entry.run.report.code_version for entry in self.entries})


@dataclass(frozen=True)
class Group:
    """One section of the page."""

    name: str
    config: GroupConfig
    variants: tuple[Variant, ...] = ()
    unfinished: tuple[Unfinished, ...] = ()

    @property
    def main(self) -> Variant | None:
        """What bars are held against: the deployment as it is shipped; else the settings that were run most."""
        return next((variant for variant in self.variants if variant.entries), None)


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


def group(found: Found, config: ResultsConfig) -> list[Group]:
    """Every group of the configuration, then one for each other deployment and size, by name."""
    members: dict[str, list[Entry]] = {name: [] for name in config.groups}
    configs = dict(config.groups)
    for entry in entries_of(found):
        name = next((name for name, wanted in config.groups.items() if belongs(entry, wanted)), None)
        if name is None:
            name, configs[name] = _own_group(entry)
        members.setdefault(name, []).append(entry)
    months = {entry.run_id for entries in members.values() for entry in entries if entry.deployment == MONTH}
    stopped: dict[str, list[Unfinished]] = defaultdict(list)
    for run in found.unfinished:
        if run.run_id not in months:
            stopped[next((name for name, wanted in configs.items() if _stopped_in(run, wanted)), "")].append(run)
    names = [*config.groups, *sorted(members.keys() - config.groups.keys())]
    return [
        Group(name, configs[name], variants(members[name], configs[name], config.beside), tuple(stopped[name]))
        for name in names
    ]


def belongs(entry: Entry, wanted: GroupConfig) -> bool:
    """Whether a group takes an entry."""
    return (
        entry.deployment == wanted.deployment
        and wanted.facts in (None, entry.facts)
        and wanted.nights in (None, entry.count)
        and (wanted.has is None or wanted.has in entry.figures)
    )


def _stopped_in(run: Unfinished, wanted: GroupConfig) -> bool:
    return run.deployment == wanted.deployment and wanted.nights in (None, run.nights) and wanted.has is None


def _own_group(entry: Entry) -> tuple[str, GroupConfig]:
    """For what no group of the configuration takes."""
    size = f"@{entry.facts}" if entry.facts is not None else ""
    nights = "" if entry.deployment != MONTH else f", {entry.count or 'an unknown number of'} nights"
    name = f"{entry.deployment}{size}" + ("" if entry.deployment != MONTH else f"-{entry.count or 'cut-short'}")
    title = f"{entry.target}, {entry.facts} facts" if entry.facts is not None else entry.target
    facts = entry.facts if isinstance(entry.run.report, Report) else None
    return name, GroupConfig(title=title + nights, deployment=entry.deployment, facts=facts)


def variants(entries: Sequence[Entry], wanted: GroupConfig, beside: Sequence[str]) -> tuple[Variant, ...]:
    """Entries by their settings: first the shipped ones, then by falling number of seeds, then the newest."""
    parts: dict[str, list[Entry]] = defaultdict(list)
    keys: dict[str, dict[str, Any] | None] = {}
    for entry in entries:
        settings = entry.settings
        own = None if settings is None else _beyond(settings, wanted, beside)
        key = _adapter(entry) if own is None else canonical_json(own).decode()
        keys[key] = own
        parts[key].append(entry)
    made = [_variant(members, keys[key], key) for key, members in parts.items()]
    made.sort(key=lambda v: v.label)
    made.sort(key=lambda v: max((e.run.report.finished for e in v.entries), default=""), reverse=True)
    return tuple(sorted(made, key=lambda v: (not v.shipped, -len(v.entries))))


def _beyond(settings: Mapping[str, Any], wanted: GroupConfig, beside: Sequence[str]) -> dict[str, Any]:
    """The settings that make a variant: neither the group's own, its size, nor what changes no night."""
    sized = SIZES if wanted.facts is not None or wanted.nights is not None else ()
    return {
        key: value
        for key, value in settings.items()
        if key not in beside and key not in sized and not (key in wanted.settings and wanted.settings[key] == value)
    }


def _adapter(entry: Entry) -> str:
    """What a report without settings tells of them."""
    report = entry.run.report
    return (
        f"unknown, adapter {report.lora.config_hash[:8]}" if isinstance(report, Report) and report.lora else "unknown"
    )


def _variant(entries: Sequence[Entry], settings: dict[str, Any] | None, key: str) -> Variant:
    short = tuple(sorted((e for e in entries if not e.whole), key=lambda e: (e.seed, e.run.report.started, e.name)))
    by_seed: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.whole:
            by_seed[entry.seed].append(entry)
    newest: dict[str, str] = {}
    for entry in entries:
        report = entry.run.report
        newest[report.code_version] = max(report.finished, newest.get(report.code_version, ""))
    chosen: list[Entry] = []
    superseded: list[Entry] = []
    ambiguous: list[Entry] = []
    for _, runs in sorted(by_seed.items()):
        runs.sort(key=lambda e: _rank(e, newest), reverse=True)
        same = [e for e in runs if e.run.report.code_version == runs[0].run.report.code_version]
        if settings is None and len({e.nights[0].report.config_hash for e in same}) > 1:
            ambiguous += same
        else:
            chosen.append(runs[0])
            superseded += [e for e in runs if e is not runs[0]]
    label = key if settings is None else text_of(settings) or "as shipped"
    return Variant(settings, label, tuple(chosen), tuple(superseded), tuple(ambiguous), short)


def _rank(entry: Entry, newest: Mapping[str, str]) -> tuple[str, bool, str, str]:
    report = entry.run.report
    full = (entry.run.config or {}).get("evaluation.controls") == "full"
    return newest[report.code_version], full, report.finished, report.run_id
