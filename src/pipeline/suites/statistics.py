"""What a perfect memory and a guesser can reach, computed from the questions alone."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pipeline.errors import DataError
from pipeline.evaluation.scoring import exact_match, normalise
from pipeline.suites.types import Fact, Question, SuiteStatistics


def rendering(question: Question) -> tuple[str, ...]:
    """Everything that a closed-book answer may depend on, normalised: system prompt, history, question."""
    turns = [text for turn in question.history for text in turn]
    return tuple(normalise(text) for text in (question.system or "", *turns, question.question))


def _groups(questions: Iterable[Question]) -> list[list[Question]]:
    groups: dict[tuple[str, ...], list[Question]] = defaultdict(list)
    for question in questions:
        groups[rendering(question)].append(question)
    return list(groups.values())


def _best(group: Sequence[Question]) -> int:
    """Most questions of one rendering that a single answer gets right."""
    return max(sum(exact_match(a, q.answer, q.aliases) for q in group) for a in {q.answer for q in group})


def ceiling(questions: Sequence[Question]) -> float:
    """The best EM that any function of the rendering reaches; 1.0 when nothing is ambiguous or nothing is asked."""
    return sum(_best(group) for group in _groups(questions)) / len(questions) if questions else 1.0


def require_unambiguous(suite: str, questions: Sequence[Question]) -> None:
    """Refuse questions that no memory can answer.

    Raises:
        DataError: Two items ask the same question and have different answers; both are named.
    """
    for group in _groups(questions):
        if _best(group) == len(group):
            continue
        first = group[0]
        other = next(q for q in group if not exact_match(first.answer, q.answer, q.aliases))
        raise DataError(
            f"suite {suite}: items {first.item_id} and {other.item_id} ask the same question {first.question!r} "
            f"with different answers {first.answer!r} and {other.answer!r} (ceiling {ceiling(questions):.3f}, "
            "expected 1.0); name the subject of each question uniquely"
        )


def jaccard(left: Iterable[str], right: Iterable[str]) -> float:
    """Overlap of two token sets, in [0, 1]; 0 when both are empty."""
    a, b = set(left), set(right)
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared) if a or b else 0.0


def overlap(tests: Iterable[Question], trained: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The largest token overlap of each test form with a train or probe form.

    Args:
        tests: Test questions.
        trained: Item id to the text of all train and probe forms of the item's relation, slots filled with the item's.

    Returns:
        Form name to Jaccard similarity of normalised tokens, in [0, 1].
    """
    tokens = {item: [set(normalise(text).split()) for text in texts] for item, texts in trained.items()}
    largest: dict[str, float] = {}
    for test in tests:
        own = set(normalise(test.question).split())
        found = max((jaccard(own, other) for other in tokens.get(test.item_id, ())), default=0.0)
        largest[test.form] = max(largest.get(test.form, 0.0), found)
    return largest


def entropy(answers: Iterable[str]) -> float:
    """Shannon entropy of the answers, in bits."""
    counts = Counter(answers)
    total = sum(counts.values())
    return -sum(c / total * math.log2(c / total) for c in counts.values()) + 0.0


def statistics(
    facts: Sequence[Fact],
    trained: Mapping[str, Sequence[str]] | None = None,
    slot_sizes: Mapping[str, int] | None = None,
) -> SuiteStatistics:
    """Describe the questions of a suite.

    Args:
        facts: What is taught.
        trained: See `overlap`; by default each fact's own train and probe questions.
        slot_sizes: How many values a generator draws each relation's answer from, uniformly; then ``majority`` is the
            share of one value, which does not depend on how few were drawn.
    """
    questions = [q for fact in facts for q in fact.questions]
    answers: dict[str, list[str]] = defaultdict(list)
    for fact in facts:
        for answer in {normalise(q.answer): None for q in fact.questions}:
            answers[fact.relation].append(answer)
    if trained is None:
        trained = {f.id: [q.question for q in f.questions if q.split != "test"] for f in facts}
    sample = {r: max(Counter(found).values()) / len(found) for r, found in answers.items()}
    return SuiteStatistics(
        ceiling=ceiling(questions),
        majority={r: 1 / slot_sizes[r] for r in answers} if slot_sizes else sample,
        majority_sample=sample,
        distinct={r: len(set(found)) for r, found in answers.items()},
        jaccard=overlap((q for q in questions if q.split == "test"), trained),
        entropy={r: entropy(found) for r, found in answers.items()},
    )
