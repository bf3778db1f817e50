"""Which questions put the taught facts to use in an examination, closed book: verified, reversed, told, followed up.

They are planned as the other arms are (`pipeline.evaluation.recall.plan_arms`), and never replace one of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pipeline.evaluation.arms import USE_ARMS, Ask, Controls, Plan
from pipeline.evaluation.selection import fixed_subset, one_of, stratified_subset
from pipeline.suites.types import NO, USES, YES, Question, Suite
from pipeline.suites.uses import FactsInUse, form_of


def use_asks(suite: Suite, controls: Controls, n: int, prior_n: int) -> Plan:
    """The asks of every use, and a note where facts are left out.

    Args:
        suite: What was taught. Probe and test forms alone are asked.
        controls: ``full`` asks every form of every fact before and after, and the probe forms after.
        n: Facts asked in each arm in a default run, one form each, as many true claims as false ones; 0 asks none.
        prior_n: How many of those are asked before the night as well.
    """
    if n == 0 and controls == "default":
        return Plan(())
    known = FactsInUse(suite.taught, suite.distractors)
    asks: list[Ask] = []
    for use in USES:
        before, after, probe = USE_ARMS[use]
        questions = [q for fact in known.scenes for q in known.questions(fact, use, "test")]
        if controls == "full":
            probes = [q for fact in known.scenes for q in known.questions(fact, use, "probe")]
            asked = {before: questions, after: questions, probe: probes}
        else:
            chosen = one_form_each(questions, n)
            asked = {before: stratified_subset(chosen, prior_n, lambda q: q.item_id, _stratum), after: chosen}
        asks += [Ask(arm, question) for arm, some in asked.items() for question in some]
    return Plan(tuple(asks), _notes(known))


def one_form_each(questions: Sequence[Question], items: int | None) -> list[Question]:
    """One form of each of ``items`` facts, both chosen by hash; claims are in turn true and false.

    Args:
        questions: Of one use; the true and the false version of a form stand side by side.
        items: How many facts; None for all.
    """
    versions: dict[str, dict[str, list[Question]]] = defaultdict(lambda: defaultdict(list))
    for question in questions:
        versions[question.item_id][form_of(question.form)].append(question)
    chosen = fixed_subset(versions, items, str, "uses")
    relation = {item: next(iter(versions[item].values()))[0].relation for item in chosen}
    picked: list[Question] = []
    turn = 0
    for item in sorted(chosen, key=lambda item: relation[item]):  # a stable sort: as even as can be in every relation
        same = versions[item][one_of(list(versions[item]), item, "uses")]
        picked.append(same[turn % len(same)])
        turn += len(same) > 1
    return picked


def _stratum(question: Question) -> str:
    return question.answer if question.answer in (YES, NO) else ""


def _notes(known: FactsInUse) -> tuple[str, ...]:
    if not known.left_out:
        return ()
    asked = sum(bool(fact.questions) for fact in known.facts)
    return (
        f"{known.left_out} of {asked} facts are neither verified, reversed, told nor followed up (usable): no rule "
        "reads the slots of their texts.",
    )
