"""Tables that fit a terminal of 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from pipeline.report.schema import Report

_WIDE = 100  # columns from which every arm is explained


def arms_summary(report: Report, width: int) -> Table:
    """One row per arm: EM, its interval, F1 and n; with what each arm asks where the terminal is wide enough."""
    from pipeline.evaluation.arms import ARMS

    table = Table(title=f"Run {report.run_id}", title_justify="left")
    table.add_column("arm", no_wrap=True)
    for name in ("EM", "95 %", "F1", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    if width >= _WIDE:
        table.add_column("what is asked")
    for name, arm in report.arms.items():
        interval = f"{arm.em_ci95[0]:.2f}–{arm.em_ci95[1]:.2f}" if arm.em_ci95 else ""
        cells = [name, f"{arm.em:.2f}", interval, f"{arm.f1:.2f}", str(arm.n)]
        table.add_row(*cells, *([ARMS[name].title] if width >= _WIDE else []))
    return table


def figures_summary(report: Report) -> Table:
    """The figures that say at what price the night learnt."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows: list[tuple[str, str]] = []
    if report.uplift is not None:
        rows.append(("uplift", f"{report.uplift.em:+.2f} EM over {report.uplift.control}"))
    if report.prior is not None:
        rows.append(("prior", f"{report.prior.value:.3f} ({report.prior.source})"))
    if report.sanity is not None:
        kept = "" if report.sanity.kept is None else f", {report.sanity.kept:.1%} of the right answers kept"
        rows.append(("sanity", f"{report.sanity.delta:+.3f} over {report.sanity.n} questions{kept}"))
    if report.long_answers is not None and report.rouge_l is not None:
        n = report.long_answers.rouge_l["post_off"].n
        rows.append(("ROUGE-L", f"{report.rouge_l:.3f} of the answers to {n} taught questions"))
    if report.long_answers is not None and (chosen := report.long_answers.paraphrase_preferred) is not None:
        told = f"{chosen.pre:.3f} before, {chosen.post:.3f} after, of {chosen.n} questions"
        rows.append(("paraphrase", f"likelier than every wrong answer: {told}"))
    if report.world_facts is not None:
        rows.append(("world facts", f"{report.world_facts.delta:+.3f} over {report.world_facts.n} questions"))
    if report.pinned_and_rewarded is not None:
        marked = report.pinned_and_rewarded["either"]
        rows.append(("pinned, rewarded", f"{marked.value:.3f} EM over {marked.n} questions"))
    if report.takeover is not None:
        rows.append(("takeover", f"{report.takeover:.3f}"))
    if report.drift is not None:
        rows.append(("drift", f"{report.drift.kl_base:.4f} nats a token, perplexity × {report.drift.ppl_ratio:.3f}"))
    for name, value in rows:
        table.add_row(name, value)
    return table
