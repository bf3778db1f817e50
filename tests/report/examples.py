"""A synthetic but complete night, for the tests of the report."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from pipeline.config.examination import GuardsConfig
from pipeline.evaluation.arms import Ask
from pipeline.evaluation.guards import guard_figures, verdicts
from pipeline.evaluation.metrics import summarise
from pipeline.evaluation.selection import hash_rank
from pipeline.report.build import build_report
from pipeline.report.plots import NightTables
from pipeline.report.schema import Identity, Report
from pipeline.suites.types import Suite
from tests.evaluation.examples import Reply, examine, scripted, small_suite

IDENTITY = Identity(
    flow="consolidation",
    deployment="episodic",
    run_id="20261122-0415-1a2b3c",
    seed=1337,
    model="SmolLM2-135M-Instruct",
    config_hash="0123456789abcdef",
    code_version="f" * 64,
    started="2026-11-22T04:15:00+00:00",
    finished="2026-11-22T04:21:00+00:00",
    placement="inline",
)
DRIFT = {
    "kl_base": 0.012,
    "kl_by_domain": {"prose": 0.008, "chat": 0.012},
    "ppl_ratio": 1.004,
    "ppl_by_domain": {"prose": 1.004, "chat": 1.001},
    "tokens": 6000,
}
LORA = {
    "config_hash": "fedcba9876543210", "rank": 32, "alpha": 32.0, "targets": ["gate_proj", "up_proj"], "steps": 40,
    "examples": 640, "tokens": 51200, "loss_first": 3.2, "loss_last": 0.04, "b_norm": 1.7,
}  # fmt: skip


def imperfect(ask: Ask) -> Reply:
    """As `scripted`, but about one answer in eight is wrong, by hash."""
    if ask.arm != "pre_off" and hash_rank(f"{ask.arm}{ask.question.item_id}{ask.question.form}", "wrong") % 8 == 0:
        return Reply("somewhere else entirely", 24, True)
    return scripted(ask)


def answered(suite: Suite | None = None) -> tuple[Suite, pa.Table]:
    """A suite and its scored answers."""
    suite = suite or small_suite()
    return suite, examine(suite, imperfect)[2]


def make_report(suite: Suite, answers: pa.Table, **changes: Any) -> Report:
    """The report of these answers; ``changes`` replaces arguments of `build_report`."""
    figures = guard_figures(answers, suite, DRIFT, 40, 50)
    judged = verdicts(figures, GuardsConfig())
    arguments: dict[str, Any] = {
        "identity": IDENTITY,
        "metrics": summarise(answers, suite, DRIFT, resamples=200, notes=["Only a test."]),
        "telemetry": {
            "retrieval.requests": 40, "retrieval.hits": 39, "gates.attempts": 24, "gates.accepts": 20,
            "replay.samples": 50, "replay.distinct": 8, "store.size": 20,
        },
        "suites": {"episodic": {"ceiling": 1.0, "prior": 0.025, "n": 8, "accepted": 20, "refused": 4}},
        "guards": judged,
        "promoted": all(verdict["passed"] for verdict in judged),
        "workers": {"teach": "inline", "evaluate": "inline"},
        "timings": {"teach": 2.5, "evaluate": 75.25},
        "peak_memory_bytes": 3 * 2**30,
        "lora": LORA,
    }  # fmt: skip
    return build_report(**(arguments | changes))


def night_tables() -> NightTables:
    """Steps, gate decisions and replay of the night."""
    steps = [
        {
            "step": i,
            "loss": 3.2 * math.exp(-i / 8) + 0.04,
            "cross_entropy": 3.1 * math.exp(-i / 8) + 0.03,
            "anchor": 0.01 + 0.0005 * i,
            "distil": 0.0,
            "probe_accuracy": 1 - math.exp(-i / 12) if i % 8 == 0 else float("nan"),
        }
        for i in range(1, 41)
    ]
    scores = [0.2 + 1.8 * (hash_rank(str(i), "gate") % 1000) / 1000 for i in range(60)]
    gate = [{"score": score, "accepted": score > 0.6} for score in scores]
    replay = [{"weight": 0.1 + 0.8 * (hash_rank(str(i), "w") % 100) / 100, "kind": "episodic"} for i in range(50)]
    tables = [pa.Table.from_pylist(rows) for rows in (steps, gate, replay)]
    return NightTables(steps=tables[0], gate=tables[1], threshold=0.6, replay=tables[2])
