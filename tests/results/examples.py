"""Small reports as plain dictionaries, and folders of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from pipeline.config.results import ResultsConfig
from pipeline.report.base import checked
from pipeline.report.schema import Report
from pipeline.results.reading import Run

CODE, OLD_CODE = "c" * 64, "a" * 64


def arm(em: float, n: int = 100, by_form: dict[str, float] | None = None) -> dict[str, Any]:
    cells = {form: {"em": value, "n": 4} for form, value in (by_form or {}).items()}
    return {
        "em": em, "em_ci95": [em - 0.04, em + 0.02], "f1": em, "contains": em, "n": n, "refusal_rate": 0.0,
        "overlong_rate": 0.0, "by_form": cells, "by_relation": {},
    }  # fmt: skip


def report(
    seed: int = 1, em: float = 0.95, deployment: str = "episodic", facts: int = 50, **changes: Any
) -> dict[str, Any]:
    """A night's report; ``changes`` replaces fields, or adds some."""
    told: dict[str, Any] = {
        "flow": "consolidation",
        "deployment": deployment,
        "run_id": f"20261127-1000-{seed:06x}",
        "seed": seed,
        "model": "embedded",
        "config_hash": f"{seed:016x}",
        "code_version": CODE,
        "started": "2026-11-27T10:00:00.000+00:00",
        "finished": "2026-11-27T10:02:00.000+00:00",
        "placement": "inline",
        "schema_version": 1,
        "arms": {"post_off_heldout": arm(em, by_form={"a/test-1": 1.0, "b/test-2": 0.75})},
        "prior": {"value": 0.01, "by_relation": {}, "source": "the largest share"},
        "telemetry": {},
        "lora": {
            "config_hash": "1234567890abcdef", "rank": 32, "alpha": 64.0, "targets": ["q_proj"], "steps": 10,
            "examples": 100, "tokens": 1000, "loss_first": 4.0, "loss_last": 0.1, "b_norm": 1.0,
        },
        "suites": {"episodic": {"ceiling": 1.0, "prior": 0.01, "n": facts, "accepted": facts, "refused": 0}},
        "workers": {"teach": "inline"},
        "timings": {"teach": 20.0, "lora_train": 70.0},
        "peak_memory_bytes": 2**30,
        "guards": [{"name": "uplift", "value": 0.9, "threshold": 0.2, "passed": True}],
        "promoted": True,
    }  # fmt: skip
    return told | changes


FAILED = [{"name": "post_on", "value": -0.05, "threshold": 0.0, "passed": False}]
MONTH = "20261127-0900-abcdef"


def run(seed: int = 1, em: float = 0.95, config: dict[str, Any] | None = None, **changes: Any) -> Run:
    """The same, read; ``config`` are its settings by dotted key."""
    return Run(checked(Report, report(seed, em, **changes), "example"), config)


def nights(seed: int, whole: bool, count: int = 3, month: str = MONTH, **changes: Any) -> list[Run]:
    """A month: R[i, i] is .9, and falls by .1 every night that follows."""
    found = []
    for last in range(1, count + 1):
        matrix = {str(i): {str(j): 0.9 - 0.1 * (i - j) for j in range(1, i + 1)} for i in range(1, last + 1)}
        head = whole and last == count
        name, deployment = (month, "month") if head else (f"{month}-{last:02d}", "nightly")
        told = {"run_id": name, "retention": matrix, "backward_transfer": -0.1 if last > 1 else None} | changes
        found.append(run(seed, 0.9, deployment=deployment, **told))
    return found


def config(**changes: Any) -> ResultsConfig:
    """Two groups and a row each."""
    values: dict[str, Any] = {
        "beside": ["seed", "evaluation.controls"],
        "groups": {
            "episodic@50": {"title": "Fifty events", "deployment": "episodic", "facts": 50},
            "month-3x50": {"title": "Three nights", "deployment": "month", "nights": 3, "facts": 50,
                           "settings": {"nights.count": 3}, "headline": "retention_last"},
        },
        "rows": [
            {"group": "episodic@50", "figure": "arms.post_off_heldout.em", "title": "unseen", "at_least": 0.9},
            {"group": "month-3x50", "figure": "retention_last", "title": "all nights", "at_least": 0.75},
        ],
    }  # fmt: skip
    return ResultsConfig.model_validate_json(json.dumps(values | changes))


def write_run(folder: Path, told: dict[str, Any], settings: dict[str, Any] | None = None) -> Path:
    """A run's folder below an artifact root."""
    path = folder / "runs" / told["flow"] / told["deployment"] / told["run_id"]
    path.mkdir(parents=True, exist_ok=True)
    (path / "report.json").write_text(json.dumps(told))
    if settings is not None:
        (path / "config.yaml").write_text(yaml.safe_dump(settings))
    return path
