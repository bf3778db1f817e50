"""Figures of a run, or of a month with all its nights, by name: those of ``report.json``, and a few made of them.

worst_form          lowest EM of an unseen phrasing
retention_learned   mean of R[i, i]: what each night's facts were worth that morning
retention_last      mean of R[N, i]: what all nights' facts are worth after the last one
nights_refused      of a month, nights that a guard kept from becoming champion
kl_worst_night      of a month, largest KL to the base of any night, nats a token
seconds, tokens     of all stages, and trained, over all nights
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from pipeline.report.numbers import numbers_of
from pipeline.report.schema import Report
from pipeline.results.reading import Run

DERIVED = (
    "worst_form", "retention_learned", "retention_last", "nights_refused", "kl_worst_night", "seconds", "tokens",
    "taught_auroc",  # no report holds it yet
)  # fmt: skip


def figures_of(nights: Sequence[Run]) -> dict[str, float]:
    """Every figure of the last night, and those of all together.

    Args:
        nights: In their order; a single run is one.
    """
    last = nights[-1].report
    found = {name: value for name, value in numbers_of(last).items() if ".by_" not in name}
    found["seconds"] = sum(sum(night.report.timings.values()) for night in nights)
    reports = [night.report for night in nights if isinstance(night.report, Report)]
    found["tokens"] = float(sum(report.lora.tokens for report in reports if report.lora))
    if len(nights) > 1:
        found["nights_refused"] = float(sum(bool(night.refused) for night in nights))
        found["kl_worst_night"] = max((report.drift.kl_base for report in reports if report.drift), default=0.0)
    return found | (_made_of(last) if isinstance(last, Report) else {})


def _made_of(report: Report) -> dict[str, float]:
    found: dict[str, float] = {}
    heldout = report.arms.get("post_off_heldout")
    if heldout and heldout.by_form:
        found["worst_form"] = min(cell.em for cell in heldout.by_form.values())
    if matrix := report.retention:
        learned = [row[night] for night, row in matrix.items() if night in row]
        last = matrix[max(matrix, key=int)]
        if learned:
            found["retention_learned"] = fmean(learned)
        if last:
            found["retention_last"] = fmean(last.values())
    return found
