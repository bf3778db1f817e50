"""A day and a night of four tasks, written by hand: two parents and their primes, with two controls."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.columns.report.build import build_columns_report
from pipeline.columns.report.schema import ColumnsReport
from pipeline.report.base import Identity

TASKS = ("task1", "task2", "task1-prime", "task2-prime")
IDENTITY = Identity(
    flow="columns",
    deployment="soft-sleep",
    run_id="20261122-0415-1a2b3c",
    seed=53,
    model="8 columns of 32 LIF neurons",
    config_hash="0123456789abcdef",
    code_version="f" * 64,
    started="2026-11-22T04:15:00+00:00",
    finished="2026-11-22T04:17:00+00:00",
    placement="inline",
)
GUARDS = [
    {"name": "accuracy", "value": 0.961, "threshold": 0.95, "passed": True},
    {"name": "sleep_drop", "value": 0.0123, "threshold": 0.03, "passed": True},
    {"name": "wake_drop", "value": 0.0213, "threshold": 0.01, "passed": False},
]
EVENING = {"task1": 0.9981, "task2": 0.9702, "task1-prime": 0.9893, "task2-prime": 0.9934}
MORNING = {"task1": 0.9945, "task2": 0.9656, "task1-prime": 0.9697, "task2-prime": 0.9818}
ACCURACY = {
    "after_task1": {"task1": 0.9991},
    "after_task2": {"task1": 0.9987, "task2": 0.9765},
    "after_task1-prime": {"task1": 0.9985, "task2": 0.9713, "task1-prime": 0.9896},
    "after_task2-prime": EVENING,
    "before_sleep": EVENING,
    "after_sleep": MORNING,
}
_COLUMN = {"task1": 0, "task2": 2, "task1-prime": 5, "task2-prime": 4}
_PARENT = {"task1": "task1", "task2": "task2", "task1-prime": "task1", "task2-prime": "task2"}


def mask(column: int) -> list[float]:
    """Most of the weight on one of eight columns, the rest on the others of its bank."""
    bank = range(4) if column < 4 else range(4, 8)
    return [0.94 if at == column else 0.02 if at in bank else 0.0 for at in range(8)]


def metrics() -> dict[str, Any]:
    """Every figure as the stages measure them, in plain values."""
    masks = {
        "before_sleep": {task: mask(_COLUMN[task]) for task in TASKS},
        "after_sleep": {task: mask(_COLUMN[_PARENT[task]]) for task in TASKS},
    }
    return {
        "accuracy": {stage: dict(scores) for stage, scores in ACCURACY.items()},
        "asked_as": dict(_PARENT),
        "masks": masks,
        "deltas": {
            "after_task1": {"task1": {"previous": None, "best": None}},
            "after_sleep": {task: {"previous": MORNING[task] - EVENING[task], "best": -0.0311} for task in TASKS},
        },
        "overlap": {
            "task1": {"kept": None, "jaccard": None, "agreement": 0.9941},
            "task2": {"kept": 0.7912, "jaccard": 0.6134, "agreement": 0.9832},
            "task1-prime": {"kept": 0.4321, "jaccard": 0.2718, "agreement": 0.9753},
            "task2-prime": {"kept": 0.5772, "jaccard": 0.3019, "agreement": 0.9864},
        },
        "mask_entropy": {stage: dict.fromkeys(TASKS, 0.2929) for stage in masks},
        "occupancy": {
            "before_sleep": {"base": [0.48, 0.02, 0.48, 0.02], "novel": [0.48, 0.48, 0.02, 0.02]},
            "after_sleep": {"base": [0.49, 0.01, 0.49, 0.01]},
        },
        "spike_rate": 0.1234,
        "spiking": {
            task: {"rate": 0.1 + at / 100, "spikes": 31.6 + at, "synaptic_operations": 25631.6 + at, "energy": 117.8}
            for at, task in enumerate(TASKS)
        },
        "backward_transfer": -0.0087,
        "controls": {
            "block_order": {"task1": 0.6912, "task2": 0.9282, "task1-prime": 0.9843, "task2-prime": 0.9906},
            "direct_er": {"task1": 0.9921, "task2": 0.9557, "task1-prime": 0.9602, "task2-prime": 0.9724},
        },
        "control_gains": {"block_order": 0.0793, "direct_er": 0.0078},
        "control_intervals": {"block_order": [0.0702, 0.0884], "direct_er": [0.0031, 0.0125]},
        "replay": {"budget": 200, "samples": 800, "bytes": 627200},
        "steps": {"wake": 3040, "sleep": 6120},
        "guards": {"accuracy": 0.961},  # what else was measured is not reported
        "notes": ["Only a test."],
    }


def make_report(changed: dict[str, Any] | None = None, **changes: Any) -> ColumnsReport:
    """The report; ``changed`` replaces figures and ``changes`` arguments of `build_columns_report`."""
    arguments: dict[str, Any] = {
        "identity": IDENTITY,
        "metrics": metrics() | (changed or {}),
        "guards": GUARDS,
        "promoted": False,
        "workers": {"wake_train": "inline", "evaluate": "inline"},
        "timings": {"wake_train": 24.5, "evaluate": 75.25},
        "peak_memory_bytes": 3 * 2**29,
        "notes": ["Written by hand."],
    }
    return build_columns_report(**(arguments | changes))


def rasters() -> dict[str, NDArray[np.uint8]]:
    """Regular spikes of 32 neurons in eight steps, by task."""
    step, neuron = np.mgrid[:8, :32]
    return {task: ((step + neuron) % (at + 3) == 0).astype(np.uint8) for at, task in enumerate(TASKS)}
