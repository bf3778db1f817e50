"""General questions before and after the night: what was kept, and whether taught names took over.

Accuracy is `contains` under the memory-OFF prompt. In ``answers.parquet`` the relation of a sanity row is its panel,
the form its half; the development half has the split ``probe`` (it may decide promotion), the other half ``test``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.arms import SANITY_ARMS, Ask
from pipeline.evaluation.scoring import normalise
from pipeline.evaluation.selection import stratified_subset
from pipeline.suites.types import Fact, Question, Split

if TYPE_CHECKING:
    from pipeline.suites.sanity import SanityQuestion

DOUBTFUL = -0.02  # a loss that a sample may show by chance: of 75 questions, one standard error is .03


def sanity_asks(questions: Sequence[SanityQuestion], n: int | None = None) -> list[Ask]:
    """Ask base and adapted model the same fixed subset of ``n`` questions, stratified by panel and half."""
    chosen = stratified_subset(questions, n, lambda q: q.id, lambda q: (q.panel, q.half), salt="sanity")
    return [Ask(arm, _as_question(item)) for arm in SANITY_ARMS for item in chosen]


def second_look(questions: Sequence[SanityQuestion], answers: pa.Table) -> list[Ask]:
    """The rest of the development half, for both models, where the part that was asked lost more than `DOUBTFUL`.

    Promotion hangs on that half, and a sample of it fails by chance alone in one night out of five.

    Args:
        questions: All sanity questions.
        answers: Of both models to some of them.
    """
    seen = answers.filter(pc.field("split") != "test")
    pairs = paired(seen)
    if not pairs or float(kept_figures(pairs)["delta"] or 0.0) >= DOUBTFUL:
        return []
    asked = {str(before["item_id"]) for before, _ in pairs}
    return sanity_asks([item for item in questions if item.half == "dev" and item.id not in asked])


def _as_question(item: SanityQuestion) -> Question:
    return Question(
        item_id=item.id,
        relation=item.panel,
        form=item.half,
        split="probe" if item.half == "dev" else "test",
        question=item.question,
        answer=item.answer,
        aliases=tuple(item.aliases),
    )


def paired(answers: pa.Table, arms: tuple[str, str] = SANITY_ARMS) -> list[tuple[dict[str, object], dict[str, object]]]:
    """The rows of base and adapted model, question by question, in the order of their ids."""
    before, after = (
        {row["item_id"]: row for row in answers.filter(pc.field("arm") == arm).to_pylist()} for arm in arms
    )
    return [(before[name], after[name]) for name in sorted(before.keys() & after.keys())]


def kept_figures(pairs: Sequence[tuple[dict[str, object], dict[str, object]]]) -> dict[str, float | int | None]:
    """``{pre, post, delta, kept, n}`` of at least one pair; accuracy is `contains`."""
    right_before = [bool(before["contains"]) for before, _ in pairs]
    right_after = [bool(after["contains"]) for _, after in pairs]
    kept = [after for before, after in zip(right_before, right_after, strict=True) if before]
    n = len(pairs)
    return {
        "pre": sum(right_before) / n,
        "post": sum(right_after) / n,
        "delta": (sum(right_after) - sum(right_before)) / n,
        "kept": sum(kept) / len(kept) if kept else None,
        "n": n,
    }


def sanity_summary(answers: pa.Table) -> dict[str, object] | None:
    """``{pre, post, delta, kept, n, by_panel, by_half}``, or None when no sanity question was asked.

    ``kept`` is the share of the base's right answers that stay right; None where the base had none right.
    """
    pairs = paired(answers)
    if not pairs:
        return None
    groups = {
        key: {name: [p for p in pairs if p[0][column] == name] for name in sorted({str(p[0][column]) for p in pairs})}
        for key, column in (("by_panel", "relation"), ("by_half", "form"))
    }
    return {
        **kept_figures(pairs),
        **{key: {name: kept_figures(members) for name, members in group.items()} for key, group in groups.items()},
    }


def taught_phrases(facts: Iterable[Fact], splits: Sequence[Split] = ("train", "probe", "test")) -> frozenset[str]:
    """Names and answers that were taught, normalised; answers only from questions of the given splits."""
    phrases: set[str] = set()
    for fact in facts:
        phrases.add(normalise(fact.subject))
        phrases.update(normalise(q.answer) for q in fact.questions if q.split in splits)
    return frozenset(phrases - {""})


def _held(phrases: Iterable[str], text: object) -> set[str]:
    padded = f" {normalise(str(text))} "
    return {phrase for phrase in phrases if f" {phrase} " in padded}


def takeover(answers: pa.Table, phrases: Iterable[str]) -> float | None:
    """Share of the adapted model's sanity answers with a taught phrase that the base's own reply does not hold."""
    pairs, known = paired(answers), list(phrases)
    if not pairs:
        return None
    taken = sum(bool(_held(known, after["answer"]) - _held(known, before["answer"])) for before, after in pairs)
    return taken / len(pairs)


def hallucination(answers: pa.Table, facts: Iterable[Fact]) -> dict[str, float]:
    """``{pre, post}``: share of untaught questions answered with some taught answer; a side not run is absent."""
    known = {normalise(q.answer) for fact in facts for q in fact.questions} - {""}
    shares = {}
    for side, arm in (("pre", "untaught_pre"), ("post", "untaught")):
        replies = answers.filter(pc.field("arm") == arm).column("answer").to_pylist()
        if replies:
            shares[side] = sum(bool(_held(known, reply)) for reply in replies) / len(replies)
    return shares
