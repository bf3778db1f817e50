"""Every number of a report by its dotted name, as in MLflow, and which of them a prefix means.

A prefix is one or more leading parts of a name: ``drift``, ``accuracy.after_sleep``; ``*`` stands for any part, as in
``arms.*.em``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from statistics import fmean
from typing import Any

from pipeline.report.base import RunReport
from pipeline.tracking.flatten import flat_metrics

MEAN, LOWEST = " (mean)", " (lowest)"
KEY, DOTTED = "*", "**"  # in names of known numbers: the key of a mapping; a guard's name, which may hold dots


def numbers_of(report: RunReport) -> dict[str, float]:
    """Every number of a report: an interval as ``.low`` and ``.high``, guards by their names, verdicts as 0 or 1."""
    return flat_metrics(report.to_json())


def matches(name: str, prefix: str) -> bool:
    """Whether ``prefix`` means the figure ``name``."""
    parts, wanted = name.split("."), prefix.split(".")
    return len(parts) >= len(wanted) and all(map(fnmatchcase, parts, wanted))


def chosen(numbers: Mapping[str, float], prefixes: Sequence[str], by_task: Sequence[str] = ()) -> dict[str, float]:
    """The figures that the prefixes mean, in their order; a whole group of several tasks with its mean and its lowest.

    Args:
        numbers: Every number of one report.
        prefixes: Which are wanted.
        by_task: Groups with one figure a task, as patterns.
    """
    wanted = dict.fromkeys(name for prefix in prefixes for name in numbers if matches(name, prefix))
    groups: dict[str, list[str]] = {}
    for name in numbers:
        if (group := _group(name, by_task)) is not None:
            groups.setdefault(group, []).append(name)
    whole = {names[-1]: group for group, names in groups.items() if len(names) > 1 and wanted.keys() >= set(names)}
    found: dict[str, float] = {}
    for name in wanted:
        found[name] = numbers[name]
        if (group := whole.get(name)) is not None:
            scores = [numbers[task] for task in groups[group]]
            found |= {group + MEAN: fmean(scores), group + LOWEST: min(scores)}
    return found


def _group(name: str, by_task: Sequence[str]) -> str | None:
    """The group of tasks that a figure belongs to, or None."""
    parts = name.split(".")
    sizes = [pattern.count(".") + 1 for pattern in by_task if matches(name, pattern)]
    return next((".".join(parts[:size]) for size in sizes if len(parts) > size), None)


def known_numbers(schema: type[RunReport]) -> list[str]:
    """Names of all numbers that a report of this schema can hold, with `KEY` or `DOTTED` for a task, an arm, …"""
    plain = schema.model_json_schema()
    return [name.removeprefix(".") for name in dict.fromkeys(_names(plain, plain["$defs"]))]


def _names(node: Mapping[str, Any], definitions: Mapping[str, Any], name: str = "") -> Iterator[str]:
    """Names of the numbers below one node of a JSON schema; lists as `flat_metrics` reads them."""
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]]
    for choice in node.get("anyOf", ()):
        yield from _names(choice, definitions, name)
    if "prefixItems" in node:
        yield from (f"{name}.low", f"{name}.high")
    elif "$ref" in node.get("items", {}):
        yield from _names(node["items"], definitions, f"{name}.{DOTTED}")
    elif node.get("type") in ("number", "integer", "boolean"):
        yield name
    for field, part in node.get("properties", {}).items():
        yield from _names(part, definitions, f"{name}.{field}")
    if isinstance(entries := node.get("additionalProperties"), Mapping):
        yield from _names(entries, definitions, f"{name}.{KEY}")


def possible(prefix: str, known: Sequence[str]) -> bool:
    """Whether ``prefix`` can mean a number of a report.

    Args:
        prefix: What a person asks for.
        known: `known_numbers` of the report's schema.
    """
    wanted = prefix.split(".")
    return all(wanted) and any(_agree(name.split("."), wanted) for name in known)


def _agree(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a prefix fits a name; a key that comes last, as in ``telemetry.*``, may hold dots itself."""
    if not wanted or not parts:
        return not wanted
    if parts[0] == KEY and len(parts) > 1:
        return _agree(parts[1:], wanted[1:])
    if parts[0] in (KEY, DOTTED):
        return any(_agree(parts[1:], wanted[used:]) for used in range(1, len(wanted) + 1))
    return fnmatchcase(parts[0], wanted[0]) and _agree(parts[1:], wanted[1:])


def nearest(prefix: str, names: Iterable[str]) -> str:
    """A hint at the prefix that was meant, or nothing."""
    told = [name.replace(DOTTED, KEY) for name in names]
    prefixes = dict.fromkeys(".".join(name.split(".")[:n]) for name in told for n in range(1, name.count(".") + 2))
    near = difflib.get_close_matches(prefix, prefixes, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
