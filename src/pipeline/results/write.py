"""Write the page: ``results.md``, ``results.json`` and ``results/*.svg``, each whole or not at all, the page last."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.artifacts import read_json, write_bytes, write_json
from pipeline.errors import ArtifactError
from pipeline.results.entries import Entry
from pipeline.results.grouping import Variant
from pipeline.results.judging import Results, Row
from pipeline.results.page import page
from pipeline.results.plots import draw

SCHEMA = "results/1"
_LEFT_OUT = ("guards.", "timings.", "telemetry.", "suites.", "schema_version", "seed")  # stand in the reports


def write_results(results: Results, folder: Path, commits: Mapping[str, str]) -> list[Path]:
    """Write everything, and remove the plots of an earlier page that this one has not.

    Args:
        results: What was found, grouped and judged.
        folder: Where the page goes.
        commits: Commit by version of the code, as far as it is known.

    Returns:
        Every file, the page first.

    Raises:
        ArtifactError: The folder cannot be written, or the disk is full.
    """
    plots = draw(results)
    files = {folder / "results" / f"{name}.svg": data for name, data in plots.items()}
    old = _earlier_plots(folder)
    for path, data in files.items():
        write_bytes(path, data)
    write_json(folder / "results.json", as_json(results, list(plots)))
    write_bytes(folder / "results.md", page(results, plots, commits).encode("utf-8", "replace"))
    for path in old - files.keys():
        path.unlink(missing_ok=True)
    return [folder / "results.md", folder / "results.json", *files]


def _earlier_plots(folder: Path) -> set[Path]:
    """Plots that the last page says are its own."""
    names: list[Any] = []
    with suppress(ArtifactError, AttributeError):
        told = read_json(folder / "results.json")
        names = told.get("plots", []) if told.get("schema") == SCHEMA else []
    return {folder / "results" / f"{name}.svg" for name in names if isinstance(name, str) and Path(name).name == name}


def as_json(results: Results, plots: list[str]) -> dict[str, Any]:
    """Every number of the page, and of every run in it."""
    found = results.found
    return {
        "schema": SCHEMA,
        "rows": [_row(row) for row in results.rows],
        "groups": {
            group.name: {"title": group.config.title, "variants": [_variant(variant) for variant in group.variants]}
            for group in results.groups
            if group.variants
        },
        "unfinished": [vars(run) for run in found.unfinished],
        "unreadable": [{"file": file, "reason": reason} for file, reason in found.unreadable],
        "sweeps": {sweep.name: [dict(row) for row in sweep.rows] for sweep in found.sweeps},
        "benches": dict(found.benches),
        "plots": plots,
    }


def _row(row: Row) -> dict[str, Any]:
    spread = row.spread
    return {
        **row.config.model_dump(mode="json", exclude_none=True),
        "mean": spread.mean if spread else None,
        "interval": list(spread.interval) if spread and spread.interval else None,
        "values": {str(seed): value for seed, value in sorted(row.values.items())},
        "verdict": row.verdict,
        "missed": list(row.missed),
    }


def _variant(variant: Variant) -> dict[str, Any]:
    kinds = ("entries", "superseded", "ambiguous", "short")
    settings = None if variant.settings is None else dict(variant.settings)
    return {"settings": settings, "label": variant.label} | {k: [_entry(e) for e in getattr(variant, k)] for k in kinds}


def _entry(entry: Entry) -> dict[str, Any]:
    report = entry.run.report
    names = ("seed", "config_hash", "code_version", "started", "finished", "promoted")
    return {
        "run": entry.run_id,
        "deployment": entry.deployment,
        **{name: getattr(report, name) for name in names},
        "refused": {night: list(guards) for night, guards in entry.refused.items()},
        "retention": getattr(report, "retention", None),
        "figures": {n: value for n, value in entry.figures.items() if not n.startswith((*_LEFT_OUT, "retention."))},
    }
