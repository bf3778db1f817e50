"""The arms with the memory on: retrieved text beside the question, rightly, wrongly, or another item's.

Only the last user turn of a question is asked, so forms with a system prompt or earlier turns are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pipeline.evaluation.arms import (
    Ask,
    Controls,
    Plan,
    closed_book_asks,
    default_forms,
    held_out_split,
    limit_forms,
    taught_questions,
)
from pipeline.evaluation.prompts import leaked_answer
from pipeline.evaluation.scoring import exact_match, mentions
from pipeline.evaluation.selection import hash_rank
from pipeline.evaluation.types import Memory, Retriever, Window
from pipeline.evaluation.uses import use_asks
from pipeline.suites.types import DOCUMENT, Fact, Question, Recall, Suite

SHORTEST_SPAN = "Answer with the exact shortest span from the prompt. No explanations."
"""System prompt of ``span_short``: the decoding of short answers by instruction alone, from the project's plan."""
RAG_MEMORIES = 3
BASELINE_ITEMS, BASELINE_FORMS = 200, 2
"""Limits of the three baselines in a full run; of passages every question of so many is asked."""


def is_plain(question: Question) -> bool:
    """Whether the last user turn is all there is: no system prompt of its own, no earlier turns."""
    return question.system is None and not question.history


def _recalled(arms: Sequence[str], questions: Sequence[Question], retriever: Retriever, k: int) -> list[Ask]:
    """Ask the store once, and give the same memories to every arm."""
    memories = retriever.retrieve([q.question for q in questions], k) if questions else []
    return [Ask(arm, q, tuple(found)) for arm in arms for q, found in zip(questions, memories, strict=True)]


def _told(arms: Sequence[str], recalls: Sequence[Recall]) -> list[Ask]:
    """The memory text is given, as if retrieval had brought it alone."""
    return [Ask(arm, r.question, (Memory(r.memory, r.question.item_id, 1.0),)) for arm in arms for r in recalls]


def _own_passages(suite: Suite) -> list[Recall]:
    """Every test question of a passage with the passage, as if retrieval never erred; none of other facts."""
    passages = [fact for fact in suite.taught if fact.relation == DOCUMENT]
    return [Recall(fact.text, question) for fact in passages for question in fact.asked("test")]


def _limit_recalls(recalls: Sequence[Recall], n: int | None) -> list[Recall]:
    kept = limit_forms([r.question for r in recalls if is_plain(r.question)], None if n is None else 1, n)
    by_form = {(r.question.item_id, r.question.form): r for r in recalls}
    return [by_form[q.item_id, q.form] for q in kept]


def _stranger(question: Question, facts: Sequence[Fact]) -> Fact | None:
    """Another fact whose text does not hold the gold: of the same relation if there is one, the next by hash."""

    def answers(fact: Fact) -> bool:
        rights = (question.answer, *question.aliases)
        same = any(exact_match(q.answer, question.answer, question.aliases) for q in fact.questions)
        return same or any(mentions(fact.text, right) for right in rights)

    start = hash_rank(question.item_id, "swap")
    others = [fact for fact in facts if fact.id != question.item_id and not answers(fact)]
    if question.relation == DOCUMENT:  # a passage of the same title may say the same in other words
        titles = {fact.subject for fact in facts if fact.id == question.item_id}
        others = [fact for fact in others if fact.subject not in titles]
    others.sort(key=lambda f: (f.relation != question.relation, (hash_rank(f.id, "swap") - start) % 2**64))
    return others[0] if others else None


def _swapped(questions: Sequence[Question], facts: Sequence[Fact], retriever: Retriever, k: int) -> list[Ask]:
    """Retrieve for another item, and give what comes back without anything that holds the gold.

    A question about a passage gets another title's passage as it stands: what retrieval brings for that one's question
    may be the right passage again.
    """
    asked = {(q.item_id, q.answer, q.aliases): q for q in questions}
    strangers = {key: _stranger(question, facts) for key, question in asked.items()}
    pairs = [(q, other) for q in questions if (other := strangers[q.item_id, q.answer, q.aliases]) is not None]
    asks = [_with(other, q) for q, other in pairs if q.relation == DOCUMENT]
    pairs = [(q, other) for q, other in pairs if q.relation != DOCUMENT]
    cues = [next((o.question for o in other.questions if is_plain(o)), other.text) for _, other in pairs]
    retrieved = retriever.retrieve(cues, k) if pairs else []
    for (question, other), found in zip(pairs, retrieved, strict=True):
        rights = (question.answer, *question.aliases)
        harmless = tuple(m for m in found if not any(mentions(m.text, right) for right in rights))
        asks.append(Ask("memory_swapped", question, harmless) if harmless else _with(other, question))
    return asks


def _with(other: Fact, question: Question) -> Ask:
    """A question beside the text of another item: of a passage, what another title's passage says."""
    return Ask("memory_swapped", question, (Memory(other.text, other.id, 1.0),))


def plan_arms(
    suite: Suite,
    retriever: Retriever,
    k: int = 1,
    controls: Controls = "default",
    secondary_n: int = 20,
    forms: Mapping[str, int] | None = None,
    uses_n: int = 50,
    window: Window | None = None,
) -> Plan:
    """Every ask of an examination but the sanity questions.

    Args:
        suite: What was taught, and its controls.
        retriever: The store that holds the taught facts and their distractors.
        k: Memories per question.
        controls: ``full`` lifts these limits, and adds the arms of the two control adapters and the three baselines
            of the base: told to be short, with a long context, and with several retrieved texts.
        secondary_n: Questions of each secondary arm in a default run, one per item, by a fixed hash.
        forms: Forms per item and arm in a default run; an arm that is not named asks all of them. None takes those of
            `default_forms`.
        uses_n: Facts asked in each arm of uses in a default run.
        window: Of the model that answers; without one there is no long context.
    """
    forms = default_forms(suite) if forms is None else forms
    full = controls == "full"
    n, one = (None, None) if full else (secondary_n, 1)
    split = held_out_split(suite)
    test = [q for q in taught_questions(suite, split) if is_plain(q)]
    probe = limit_forms([q for q in taught_questions(suite, "probe") if is_plain(q)], one, n)
    secondary = limit_forms(test, one, n)
    asks = closed_book_asks(suite, controls, secondary_n, forms)
    asks += _recalled(["memory_on"], test if full else limit_forms(test, forms.get("memory_on")), retriever, k)
    asks += _told(["oracle_context"], _own_passages(suite))
    asks += _recalled(["post_on"], secondary, retriever, k)
    asks += _recalled(["memory_on_probe", "post_on_probe"], probe, retriever, k)
    asks += _told(["memory_on_conflict", "post_on_conflict"], _limit_recalls(suite.conflict, n))
    asks += _told(["memory_on_new", "post_on_new"], _limit_recalls(suite.new, n))
    asks += _recalled(["unseen_on"], [q for q in suite.unseen if is_plain(q)], retriever, k)
    swapped = _swapped(secondary, suite.taught, retriever, k)
    uses = use_asks(suite, controls, uses_n, secondary_n)
    notes = (*_notes(suite, split, len(secondary) - len(swapped)), *uses.notes)
    plan = Plan((*asks, *swapped, *uses.asks), notes)
    return _with_baselines(plan, suite, test, retriever, window) if full else plan


def _with_baselines(
    plan: Plan, suite: Suite, test: Sequence[Question], retriever: Retriever, window: Window | None
) -> Plan:
    """What the base does without any training: told to be short, with a long context, with several texts."""
    passages = any(fact.relation == DOCUMENT for fact in suite.taught)
    asked = limit_forms(test, None if passages else BASELINE_FORMS, BASELINE_ITEMS)
    told = [q for q in asked if leaked_answer(q, SHORTEST_SPAN) is None]
    asks = [Ask("span_short", replace(q, system=SHORTEST_SPAN)) for q in told]
    asks += _recalled(["rag"], asked, retriever, RAG_MEMORIES)
    notes = list(plan.notes)
    if window is not None and asked:
        context = long_context(suite.taught, asked, window)
        asks += [Ask("longctx", question, context) for question in asked] if context else []
        notes.append(
            f"longctx: {len(context)} of {len(suite.taught)} taught facts fit into the prompt; questions about the "
            "others are asked all the same."
        )
    return Plan((*plan.asks, *asks), tuple(notes))


def long_context(facts: Sequence[Fact], asked: Sequence[Question], window: Window) -> tuple[Memory, ...]:
    """The facts that fit beside the longest question, chosen by a fixed hash and in their own order.

    The same texts stand before every question, so that a model reads them once.
    """
    room = window.room - max(window.length(question.question) for question in asked)
    kept = set()
    for fact in sorted(facts, key=lambda fact: hash_rank(fact.id, "long context")):
        room -= window.length(f" {fact.text}")
        if room < 0:
            break
        kept.add(fact.id)
    return tuple(Memory(fact.text, fact.id, 1.0) for fact in facts if fact.id in kept)


def _notes(suite: Suite, split: str, unswappable: int) -> tuple[str, ...]:
    notes = []
    if split == "train":
        notes.append(f"Suite {suite.name} has no test questions: its train questions take their place in every arm.")
    if unswappable:
        notes.append(f"memory_swapped leaves out {unswappable} questions: no other fact has a different answer.")
    return tuple(notes)


def retrieval_usage(asks: Iterable[Ask]) -> dict[str, int]:
    """How often each episode was retrieved for probe questions: feedback for the next night, blind to test ones."""
    asked = (ask for ask in asks if ask.arm == "memory_on_probe" and ask.question.split == "probe")
    used = (name for ask in asked for memory in ask.memories or () for name in memory.episodes)
    return dict(sorted(Counter(used).items()))
