"""The report of any flow: which schema reads it, and which of its figures make a headline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.artifacts import read_json
from pipeline.errors import ArtifactError
from pipeline.report.base import RunReport, read_report


@dataclass(frozen=True)
class FlowReport:
    """What is known of a flow's report.

    Attributes:
        schema: Reads it.
        headline: Figures that are stated over seeds when no others are asked for; see `pipeline.report.numbers`.
        by_task: Groups with one figure a task, of which a mean and a lowest one make sense.
    """

    schema: type[RunReport]
    headline: tuple[str, ...]
    by_task: tuple[str, ...] = ()


def flow_reports() -> dict[str, FlowReport]:
    """Every flow's report."""
    from pipeline.columns.report.schema import ColumnsReport
    from pipeline.needle.report.schema import NeedleReport
    from pipeline.plasticity.report.schema import PlasticityReport
    from pipeline.report.schema import Report
    from pipeline.sleepwake.report.schema import SleepWakeReport

    return {
        "consolidation": FlowReport(Report, ("arms.*.em", "sanity.delta", "sanity.kept", "takeover", "drift")),
        "columns": FlowReport(
            ColumnsReport,
            ("accuracy.before_sleep", "accuracy.after_sleep", "control_gains", "backward_transfer", "spike_rate"),
            by_task=("accuracy.*", "controls.*", "mask_entropy.*"),
        ),
        "plasticity": FlowReport(
            PlasticityReport,
            (
                "average_accuracy",
                "forgetting",
                "backward_transfer",
                "baselines.*.average_accuracy",
                "baselines.*.gain",
                "ablations.*.gain",
                "spike_rate",
            ),
            by_task=("accuracy.*",),
        ),
        "needle": FlowReport(
            NeedleReport,
            (
                "accuracy.test",
                "accuracy.by_length",
                "accuracy.by_load",
                "controls",
                "cosine",
                "collisions",
                "gate",
                "written",
                "training.steps_to_90",
                "control_details.no_infonce.steps_to_90",
            ),
        ),
        "sleepwake": FlowReport(
            SleepWakeReport,
            (
                "byte_lm.nats",
                "patcher.mean_patch",
                "memory.gain",
                "sleep.recall_before",
                "sleep.recall_after",
                "retention",
                "drift.base",
                "drift.last",
                "gap.16.gain",
                "interference",
                "controls.*.recall",
                "controls.replay_only.retention",
            ),
        ),
    }


def load_any_report(run: Path) -> RunReport:
    """Read ``report.json`` of a run folder by the schema of its flow.

    Raises:
        ArtifactError: It is missing, torn, of an unknown flow, or does not fit the schema.
    """
    known = flow_reports()
    flow = read_json(run / "report.json").get("flow")
    if flow not in known:
        raise ArtifactError(f"{run / 'report.json'}: expected flow {' or '.join(known)}, found {flow!r}")
    return read_report(known[flow].schema, run)
