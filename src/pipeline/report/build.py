"""Put a report together from what the stages measured, and read one back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ArtifactError
from pipeline.report.base import checked, read_report
from pipeline.report.schema import TELEMETRY, Identity, Report

MEASURED = (
    "arms", "prior", "uplift", "sanity", "takeover", "hallucination", "drift", "retention", "backward_transfer",
    "relational", "spatial", "usable", "rouge_l", "paraphrase_preferred", "long_answers", "world_facts", "gap_closed",
    "gap", "study", "forget", "recognition", "slow", "pinned_and_rewarded",
)  # fmt: skip


def build_report(
    identity: Identity,
    metrics: Mapping[str, Any],
    *,
    telemetry: Mapping[str, float],
    suites: Mapping[str, Mapping[str, Any]],
    guards: Sequence[Mapping[str, Any]],
    promoted: bool,
    workers: Mapping[str, str],
    timings: Mapping[str, float],
    peak_memory_bytes: int,
    device: str | None = None,
    lora: Mapping[str, Any] | None = None,
    notes: Iterable[str] = (),
) -> Report:
    """Check every figure against schema version 1.

    Args:
        identity: Which run this is.
        metrics: As `pipeline.evaluation.metrics.summarise` returns it; its ``refusal_rate`` joins the telemetry and
            its ``notes`` come before ``notes``.
        telemetry: The other counters of `pipeline.report.schema.TELEMETRY`.
        suites: ``{ceiling, prior, n, accepted, refused}`` by suite.
        guards: Verdicts of `pipeline.evaluation.guards.verdicts`.
        promoted: Whether the alias moved.
        workers: Worker by stage.
        timings: Seconds by stage.
        peak_memory_bytes: Highest resident memory of any stage.
        device: What trained, by name; None where no stage tells it.
        lora: The fields of `pipeline.report.schema.Lora`; None for a flow that trains nothing.
        notes: What a reader must know.

    Raises:
        ArtifactError: A figure is missing, unknown, NaN or of the wrong type; the message names it.
    """
    counters = {name: value for name, value in telemetry.items() if value is not None}
    if metrics.get("refusal_rate") is not None:
        counters.setdefault("refusal_rate", metrics["refusal_rate"])
    if unknown := sorted(counters.keys() - set(TELEMETRY)):
        raise ArtifactError(f"report.json: unknown telemetry {', '.join(unknown)}; expected {', '.join(TELEMETRY)}")
    fields: dict[str, Any] = {name: metrics[name] for name in MEASURED if name in metrics}
    fields |= {"telemetry": counters, "suites": suites, "guards": guards, "promoted": promoted, "lora": lora}
    fields |= {"workers": workers, "timings": timings, "peak_memory_bytes": peak_memory_bytes, "device": device}
    fields["notes"] = (*metrics.get("notes", ()), *notes)
    return checked(Report, identity.model_dump() | fields, "report.json")


def load_report(path: Path, verify: bool = True) -> Report:
    """Read ``report.json``.

    Args:
        path: The file, or the run folder that holds it.
        verify: Whether to compare it with the digest that the run keeps.

    Raises:
        ArtifactError: It is missing, torn, or not of schema version 1; or it differs from its digest.
    """
    return read_report(Report, path, verify)
