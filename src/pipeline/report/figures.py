"""The rows of every table, as text: the terminal, Markdown and HTML show the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.evaluation import guards
from pipeline.evaluation.arms import ARMS
from pipeline.report.base import RunReport
from pipeline.report.schema import Report, Written

NOT_MEASURED = "–"

AT_MOST = {
    "consolidation": guards.AT_MOST,
    "columns": ("sleep_drop", "wake_drop"),
    "plasticity": ("forgetting",),
    "needle": ("collisions", "gate.open_fraction_most", "gate.lambda_max", "significant_drops"),
    "sleepwake": ("nats", "drift"),
}
"""By flow, the guards whose figure must not be above the threshold; all others must not be below it."""


@dataclass(frozen=True)
class Table:
    """A heading, column titles and rows of plain, unescaped text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def number(value: float | None, digits: int = 3) -> str:
    """A figure with a fixed number of decimals, whole numbers as such, or a dash."""
    if value is None:
        return NOT_MEASURED
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.{digits}f}"


def short(value: float | None) -> str:
    """At most four decimals, none that are zero."""
    return NOT_MEASURED if value is None else f"{round(value, 4) + 0.0:g}"


def interval(bounds: Sequence[float] | None) -> str:
    """``low to high``, or a dash."""
    return f"{bounds[0]:.2f} to {bounds[1]:.2f}" if bounds else NOT_MEASURED


def duration(seconds: float) -> str:
    """``12 s`` or ``3 min 05 s``."""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{seconds:.1f} s"


def memory(size: int) -> str:
    """Bytes, and the same in GiB."""
    return f"{size:,} ({size / 2**30:.2f} GiB)"


def _gap_rows(report: Report) -> list[tuple[str, str]]:
    """What passages in the prompt are worth, and what of it the night brought without them."""
    return [
        (f"gap.{score}.{part}", number(value))
        for score, gap in (report.gap or {}).items()
        for part, value in gap.model_dump().items()
    ]


def _study_rows(report: Report) -> list[tuple[str, str]]:
    """What the sleeper wrote about texts without questions."""
    if report.study is None:
        return []
    study = report.study
    kinds = {"questions": study.questions, "rewrites": study.rewrites, "implications": study.implications}
    return [
        ("study.passages", number(study.passages)),
        *((f"study.{kind}", written(counts)) for kind, counts in kinds.items()),
        *((f"study.by_rule.{form}", number(count)) for form, count in study.by_rule.items()),
    ]


def written(counts: Written) -> str:
    """What a generator was asked for, what was kept, and why the rest was not."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.dropped.items() if count)
    return f"{counts.kept} kept of {counts.asked}" + (f" ({reasons})" if reasons else "")


def arms_table(report: Report) -> Table:
    """One row per arm that was run, in the order of `ARMS`."""
    names = [name for name in ARMS if name in report.arms] + [name for name in report.arms if name not in ARMS]
    rows = []
    for name in names:
        arm = report.arms[name]
        title = ARMS[name].title if name in ARMS else ""
        figures = (number(arm.f1, 2), number(arm.contains, 2), number(arm.refusal_rate, 2), number(arm.n))
        rows.append((name, title, number(arm.em, 2), interval(arm.em_ci95), *figures))
    return Table("Arms", ("arm", "what is asked", "EM", "95 % interval", "F1", "contains", "refused", "n"), tuple(rows))


def usable_table(report: Report) -> Table:
    """What can be done with taught facts, before the night and after it; no rows where it was not asked."""
    titles = {
        "yes_no": "is it so? (half are false)",
        "reversed": "from the answer to its subject",
        "implied": "what follows from one fact",
        "tell_recall": "all about a subject: slots named",
        "tell_contradicted": "all about a subject: slots contradicted (low is good)",
    }
    rows = []
    for use, title in titles.items():
        figure = getattr(report.usable, use) if report.usable else None
        if figure is not None:
            share = (number(figure.prior, 2), number(figure.value, 2), interval(figure.ci95), number(figure.n))
            rows.append((use, title, *share))
    return Table("Usable knowledge", ("use", "what is asked", "before", "after", "95 % interval", "n"), tuple(rows))


def guards_table(report: RunReport) -> Table:
    """Every guard with figure, threshold and verdict."""
    at_most = {name for names in AT_MOST.values() for name in names}
    rows = [
        (g.name, short(g.value), ("≤ " if g.name in at_most else "≥ ") + short(g.threshold), _verdict(g.passed))
        for g in report.guards
    ]
    return Table("Guards", ("guard", "figure", "threshold", "verdict"), tuple(rows))


def _verdict(passed: bool) -> str:
    return "passed" if passed else "FAILED"


def headline(report: Report) -> list[tuple[str, str, str]]:
    """(title, figure, explanation) of what a reader wants to know first."""
    cards = []
    for arm, title in (
        ("pre_off", "Before, memory off"),
        ("post_off", "After, taught phrasings"),
        ("post_off_heldout", "After, unseen phrasings"),
        ("memory_on", "Before, memory on"),
        ("untaught", "Never taught"),
    ):
        if arm in report.arms:
            figures = report.arms[arm]
            cards.append((title, number(figures.em, 2), f"EM of {figures.n} questions"))
    if report.gap_closed is not None:
        cards.append(("Gap closed", number(report.gap_closed, 2), "of what the passage in the prompt is worth"))
    if report.uplift:
        cards.append(("Uplift", f"{report.uplift.em:+.2f}", f"over {report.uplift.control}"))
    if report.rouge_l is not None:
        cards.append(("ROUGE-L", number(report.rouge_l, 2), "recall of the answers to taught questions"))
    if report.paraphrase_preferred is not None:
        cards.append(("Paraphrase preferred", number(report.paraphrase_preferred, 2), "over every wrong answer"))
    if report.world_facts:
        cards.append(("Facts of the world", f"{report.world_facts.delta:+.3f}", f"of {report.world_facts.n} questions"))
    if report.sanity:
        cards.append(("General questions", f"{report.sanity.delta:+.3f}", f"kept {number(report.sanity.kept, 2)}"))
    if report.drift:
        cards.append(
            ("Drift", number(report.drift.kl_base), f"nats a token; perplexity × {report.drift.ppl_ratio:.3f}")
        )
    return cards


def other_table(report: Report) -> Table:
    """Everything else that was measured, one figure a row."""
    rows: list[tuple[str, str]] = []
    if report.uplift:
        rows.append(("uplift.em", f"{number(report.uplift.em)} ({interval(report.uplift.em_ci95)})"))
    if report.prior:
        rows.append(("prior.value", f"{number(report.prior.value)} ({report.prior.source})"))
    if report.sanity:
        parts = ("pre", "post", "delta", "kept", "n")
        rows += [(f"sanity.{part}", number(getattr(report.sanity, part))) for part in parts]
    if report.takeover is not None:
        rows.append(("takeover", number(report.takeover)))
    if report.hallucination:
        rows += [(f"hallucination.{side}", number(getattr(report.hallucination, side))) for side in ("pre", "post")]
    if told := report.recognition:
        rows.append(
            ("recognition.auroc", f"{number(told.auroc)} ({interval(told.ci95)}), the base {number(told.prior)}")
        )
    if report.drift:
        rows += [
            (f"drift.{part}", number(getattr(report.drift, part), 4)) for part in ("kl_base", "ppl_ratio", "tokens")
        ]
        if report.drift.kl_previous is not None:
            rows.append(("drift.kl_previous", number(report.drift.kl_previous, 4)))
    if report.retention:
        last = report.retention[max(report.retention, key=int)]
        rows += [(f"retention, facts of night {night}", number(em)) for night, em in last.items()]
    if report.backward_transfer is not None:
        rows.append(("backward_transfer", number(report.backward_transfer)))
    if report.slow:
        rows += [(f"slow average, facts of night {night}", number(em)) for night, em in report.slow.retention.items()]
        rows.append(("slow average, all nights", f"{number(report.slow.mean)} (own {number(report.slow.fast_mean)})"))
    if report.relational:
        counts = report.relational.n
        rows += [(f"relational.{k}", f"{number(getattr(report.relational, k))} (n = {counts[k]})") for k in counts]
    rows += _long_answer_rows(report)
    if report.spatial:
        rows += [(f"spatial.{kind}", number(getattr(report.spatial, kind))) for kind in report.spatial.n]
        rows += [
            (f"spatial.unseen_pairs.{kind}", f"{number(pairs.em)} (a guesser {number(pairs.majority)})")
            for kind, pairs in report.spatial.unseen_pairs.items()
        ]
    for name, marked in (report.pinned_and_rewarded or {}).items():
        rows.append((f"pinned_and_rewarded.{name}", f"{number(marked.value)} ({interval(marked.ci95)}, n {marked.n})"))
    rows += _gap_rows(report) + _study_rows(report)
    for name, value in report.telemetry.items():
        rows.append((f"telemetry.{name}", number(int(value)) if float(value).is_integer() else number(value)))
    if report.lora:
        for part, value in report.lora.model_dump().items():
            text = ", ".join(value) if isinstance(value, tuple) else value if isinstance(value, str) else number(value)
            rows.append((f"lora.{part}", text))
    for name, suite in report.suites.items():
        rows += [(f"suites.{name}.{part}", number(value)) for part, value in suite.model_dump().items()]
    rows.append(("peak_memory_bytes", memory(report.peak_memory_bytes)))
    rows += [("device", report.device)] if report.device else []
    return Table("Other figures", ("figure", "value"), tuple(rows))


def _long_answer_rows(report: Report) -> list[tuple[str, str]]:
    """ROUGE-L of every arm, preferred paraphrases and facts of the world, where they were measured."""
    rows: list[tuple[str, str]] = []
    if report.long_answers:
        for arm, figure in report.long_answers.rouge_l.items():
            rows.append((f"rouge_l ({arm})", f"{number(figure.mean)} ({interval(figure.ci95)}, n {figure.n})"))
        if chosen := report.long_answers.paraphrase_preferred:
            told = f"{number(chosen.pre)} before, {number(chosen.post)} after"
            rows.append(("paraphrase_preferred", f"{told} ({interval(chosen.ci95)}, n {chosen.n})"))
    if report.world_facts:
        parts = ("pre", "post", "delta", "kept", "n")
        rows += [(f"world_facts.{part}", number(getattr(report.world_facts, part))) for part in parts]
    return rows


def forget_table(report: Report) -> Table:
    """What was unlearned, after the night and by the base; no rows for a night that forgets nothing."""
    told = report.forget
    if told is None:
        return Table("Forgotten", (), ())
    rows = (
        ("EM of the forgotten answers", number(told.target), number(told.prior)),
        ("the same, trained and probe forms", number(told.seen_target), number(told.seen_prior)),
        ("EM of its subject, asked in reverse", number(told.reversed), number(told.reversed_prior)),
        ("AUROC against never-seen answers", number(told.auroc), number(told.auroc_prior)),
        ("change of refusals", number(told.refusals), NOT_MEASURED),
        ("change of the neighbours' EM", number(told.neighbours), NOT_MEASURED),
        ("items; questions asked of each model", number(told.n), number(told.questions)),
    )
    return Table("Forgotten", ("figure", "after", "base"), rows)


def stages_table(report: RunReport) -> Table:
    """Where each stage ran and how long it took."""
    rows = [(stage, report.workers.get(stage, NOT_MEASURED), duration(s)) for stage, s in report.timings.items()]
    rows.append(("all", "", duration(sum(report.timings.values()))))
    return Table("Stages", ("stage", "worker", "time"), tuple(rows))


def forms_table(report: Report) -> Table:
    """EM of each held-out form beside its largest token overlap with a train or probe form."""
    arm = report.arms.get("post_off_heldout")
    cells = sorted(arm.by_form.items(), key=lambda item: (item[1].em, item[0])) if arm else []
    rows = [(form, number(cell.em, 2), number(cell.jaccard, 2), number(cell.n)) for form, cell in cells]
    return Table("Held-out phrasings, worst first", ("form", "EM", "overlap", "n"), tuple(rows))
