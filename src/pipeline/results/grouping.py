"""Which runs are one measurement: nights of a month, seeds of one setting, and the settings of one deployment.

Of two runs of a seed with the same settings the newest code counts, then the run that asked most questions, then the
newest. Where nobody kept the settings, runs are told apart by what the report says of the adapter's; two runs of one
seed and code that were configured differently are then ambiguous, and neither counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.config import canonical_json
from pipeline.config.results import GroupConfig, ResultsConfig
from pipeline.config.sweeps import as_overrides
from pipeline.report.schema import Report
from pipeline.results.entries import MONTH, Entry, entries_of
from pipeline.results.reading import Found, Unfinished
from pipeline.results.settings import recognised, text_of

SIZES = ("suite.n", "nights.count", "nights.facts")


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


def group(found: Found, config: ResultsConfig) -> list[Group]:
    """Every group of the configuration, then one for each other deployment and size, by name."""
    members: dict[str, list[Entry]] = {name: [] for name in config.groups}
    configs = dict(config.groups)
    for entry in entries_of(found):
        name = next((name for name, wanted in config.groups.items() if belongs(entry, wanted)), None)
        if name is None:
            name, configs[name] = _own_group(entry)
        members.setdefault(name, []).append(_recognise(entry, configs[name]))
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


def _recognise(entry: Entry, wanted: GroupConfig) -> Entry:
    """With settings, where nobody kept them but the digest of the configuration tells them."""
    if entry.run.config is not None or not entry.whole:
        return entry
    report = entry.run.report
    found = recognised(entry.target, report.seed, report.config_hash, as_overrides(wanted.settings))
    return replace(entry, recognised=found)


def belongs(entry: Entry, wanted: GroupConfig) -> bool:
    """Whether a group takes an entry."""
    return (
        entry.deployment == wanted.deployment
        and wanted.facts in (None, entry.facts)
        and wanted.nights in (None, entry.count)
        and (wanted.has is None or wanted.has in entry.figures)
    )


def _stopped_in(run: Unfinished, wanted: GroupConfig) -> bool:
    size = run.facts is None or wanted.facts in (None, run.facts)
    return run.deployment == wanted.deployment and wanted.nights in (None, run.nights) and size and wanted.has is None


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
