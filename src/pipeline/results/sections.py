"""The section of a group: its runs with their commands, arms, other figures and guards; other settings in brief."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import chain

from pipeline.evaluation.arms import ARMS
from pipeline.report.figures import AT_MOST, duration
from pipeline.report.figures import short as threshold
from pipeline.report.markdown import escape
from pipeline.results.entries import Entry
from pipeline.results.grouping import Group, Variant
from pipeline.results.judging import shared
from pipeline.results.settings import command
from pipeline.results.text import anchor, each, mean_cells, paragraph, table

UNKNOWN = "unknown"
COMPARED = {
    "arms.post_off_heldout.em": "unseen phrasings",
    "retention_last": "all nights",
    "gap_closed": "gap closed",
    "rouge_l": "ROUGE-L",
    "drift.kl_base": "KL",
    "drift.ppl_ratio": "perplexity",
    "sanity.kept": "kept",
    "arms.near_miss.em": "namesakes",
}
"""Figures in which other settings are compared, with the headings of their columns."""
OF_MONTHS = {
    "retention_learned": "mean R[i, i]",
    "retention_last": "mean R[last, i]",
    "backward_transfer": "backward transfer",
    "drift.kl_base": "KL",
}
OTHERS = (
    "uplift.em", "worst_form", "retention_learned", "retention_last", "backward_transfer", "nights_refused",
    "kl_worst_night", "relational.one_hop", "relational.newest", "relational.join", "relational.two_step",
    "spatial.direction", "spatial.next", "spatial.unseen_pairs.*.em", "spatial.unseen_pairs.*.majority",
    "usable.*.value", "usable.*.prior", "rouge_l", "paraphrase_preferred", "world_facts.delta", "gap_closed",
    "forget.target", "forget.prior", "forget.reversed", "forget.neighbours", "forget.auroc", "forget.refusals",
    "sanity.delta", "sanity.kept", "takeover", "hallucination.pre", "hallucination.post", "prior.value",
    "drift.kl_base", "drift.ppl_ratio", "drift.kl_previous", "accuracy.*.*", "control_gains.*", "spike_rate",
    "lora.steps", "tokens", "peak_memory_bytes",
)  # fmt: skip
"""Figures of the second table, in its order."""


def group_section(group: Group, drawn: Set[str], commits: Mapping[str, str]) -> list[str]:
    """Lines of one section.

    Args:
        group: Its runs.
        drawn: Names of the plots that exist.
        commits: Commit by version of the code.
    """
    config, main = group.config, group.main
    link = f"../REPRODUCIBILITY.md#{anchor(config.reproducibility)}"
    more = f"See also [{config.reproducibility}]({link})." if config.reproducibility else ""
    lines = [f"## {config.title}", "", *paragraph(f"{config.about} {more}")]
    if main is None:
        lines += paragraph("No run of this size came to its end.")
    else:
        lines += [*_cautions(main), *_runs(main.entries, commits), *_commands(main), *_plots(group, drawn)]
        lines += [*_arms(main.entries), *_figures(main.entries), *_guards(main.entries)]
    return lines + _other_settings(group) + _cut_short(group, drawn) + _unfinished(group)


def _cautions(variant: Variant) -> list[str]:
    told = []
    if variant.settings is None:
        told.append("Nobody kept the settings of these runs; they count as one as their adapters were trained alike.")
    elif variant.settings:
        told.append(f"Not as shipped, but with `{variant.label}`: nothing as shipped came to its end.")
    if len(variant.codes) > 1:
        told.append("The code changed between these runs: see the column.")
    return [line for note in told for line in (f"> {note}", "")]


def _runs(entries: Sequence[Entry], commits: Mapping[str, str]) -> list[str]:
    columns = ("seed", "run", "finished (UTC)", "time of all stages", "machine", "commit", "code", "guards")
    return table(columns, (_run(entry, commits) for entry in entries))


def _run(entry: Entry, commits: Mapping[str, str]) -> tuple[str, ...]:
    report = entry.run.report
    return (
        str(entry.seed),
        entry.run_id,
        report.finished[:16].replace("T", " "),
        duration(entry.figures["seconds"]),
        escape(report.device or UNKNOWN),
        commits.get(report.code_version, UNKNOWN),
        report.code_version[:8],
        _refused(entry) or "passed",
    )


def _refused(entry: Entry) -> str:
    """Failed guards; of a month by night."""
    nights = [(n, night.refused) for n, night in enumerate(entry.nights, start=1) if night.refused]
    several = len(entry.nights) > 1
    told = [f"{f'night {n}: ' if several else ''}{', '.join(failed)}" for n, failed in nights]
    return f"**refused** by {'; '.join(told)}" if told else ""


def _commands(variant: Variant) -> list[str]:
    return ["```bash", *(command(e.target, e.settings, e.seed) for e in variant.entries), "```", ""]


def _plots(group: Group, drawn: Set[str]) -> list[str]:
    titles = {"retention": "What is left of every night, mean over seeds", "curve": "Probe questions while training"}
    names = [(f"{kind}-{group.name}", title) for kind, title in titles.items()]
    return [line for name, title in names if name in drawn for line in (f"![{title}](results/{name}.svg)", "")]


def _arms(entries: Sequence[Entry]) -> list[str]:
    rows = []
    found = {name.split(".")[1]: by_seed for name, by_seed in shared(entries, "arms.*.em").items()}
    places = {arm: place for place, arm in enumerate(ARMS)}
    for arm in sorted(found, key=lambda arm: places.get(arm, len(places))):
        sizes = sorted({int(entry.figures[f"arms.{arm}.n"]) for entry in entries if f"arms.{arm}.n" in entry.figures})
        n = "–".join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1])))
        title = ARMS[arm].title if arm in ARMS else ""
        rows.append((f"`{arm}`", title, *mean_cells(found[arm], 3), each(found[arm], 3), n))
    return table(("arm", "what is asked", "EM", "95 %", "each seed", "n"), rows)


def _figures(entries: Sequence[Entry]) -> list[str]:
    rows = []
    for name, by_seed in chain.from_iterable(shared(entries, pattern).items() for pattern in OTHERS):
        digits = 0 if min(by_seed.values()) >= 100 else 4 if name.startswith(("drift.", "kl_")) else 3
        rows.append((f"`{name}`", *mean_cells(by_seed, digits), each(by_seed, digits)))
    return table(("figure", "mean", "95 %", "each seed"), rows)


def _guards(entries: Sequence[Entry]) -> list[str]:
    """Every guard of the last night over seeds."""
    rows = []
    for name in dict.fromkeys(guard.name for entry in entries for guard in entry.run.report.guards):
        told = [(entry, guard) for entry in entries for guard in entry.run.report.guards if guard.name == name]
        sign = "≤" if any(name in AT_MOST.get(entry.run.report.flow, ()) for entry, _ in told) else "≥"
        bars = ", ".join(dict.fromkeys(threshold(guard.threshold) for _, guard in told))
        passed = sum(guard.passed for _, guard in told)
        verdict = f"passed {passed} of {len(told)}"
        values = ", ".join(threshold(guard.value) for _, guard in told)
        rows.append((f"`{name}`", f"{sign} {bars}", values, verdict if passed == len(told) else f"**{verdict}**"))
    return table(("guard", "threshold", "each seed", "verdict"), rows)


def _other_settings(group: Group) -> list[str]:
    """All settings beside each other, where there are several."""
    compared = [variant for variant in group.variants if variant.entries]
    if len(compared) < 2:
        return []
    names = [name for name in COMPARED if any(name in entry.figures for v in compared for entry in v.entries)]
    rows = []
    for variant in compared:
        means = [mean_cells({e.seed: e.figures[n] for e in variant.entries if n in e.figures}, 3)[0] for n in names]
        seeds = ", ".join(str(entry.seed) for entry in variant.entries)
        refused = sum(bool(entry.refused) for entry in variant.entries)
        rows.append((escape(variant.label), seeds, *means, f"{refused} of {len(variant.entries)}"))
    columns = ("settings", "seeds", *(COMPARED[name] for name in names), "refused")
    return [*paragraph("All settings that were run, means over their seeds:"), *table(columns, rows)]


def _cut_short(group: Group, drawn: Set[str]) -> list[str]:
    """Months that did not come to their end, one line each."""
    rows = []
    for variant in group.variants:
        for entry in variant.short:
            figures = [mean_cells({0: entry.figures[n]} if n in entry.figures else {}, 3)[0] for n in OF_MONTHS]
            told = (_refused(entry) or "none", escape(variant.label))
            rows.append((str(entry.seed), entry.run_id, entry.progress, *figures, *told))
    if not rows:
        return []
    columns = ("seed", "run", "nights", *OF_MONTHS.values(), "refused nights", "settings")
    name = f"short-{group.name}"
    picture = [f"![What is left of every night, months that were cut short](results/{name}.svg)", ""]
    return [*paragraph("Cut short, and so in no mean:"), *table(columns, rows), *(picture if name in drawn else [])]


def _unfinished(group: Group) -> list[str]:
    rows = [(str(run.seed), run.run_id, run.state, escape(run.error) or UNKNOWN) for run in group.unfinished]
    return [*(paragraph("Failed, or not finished:") if rows else []), *table(("seed", "run", "state", "error"), rows)]
