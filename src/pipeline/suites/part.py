"""A stretch of a generated suite: what one of many nights teaches, under ids that no other night's facts have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.suites.types import Fact, Question, Recall, Suite


def stretch(suite: Suite, skip: int, prefix: str) -> Suite:
    """The suite without its first ``skip`` taught facts and what belongs to them.

    Whatever belongs to a taught fact has its id, or that id, a hyphen and more.

    Args:
        suite: A generated suite, of which smaller sizes are prefixes.
        skip: Taught facts that other nights teach.
        prefix: Put before every id; two generators number their facts alike.
    """
    left_out = {fact.id for fact in suite.taught[:skip]}

    def stays(item_id: str) -> bool:
        return item_id not in left_out and not any(item_id.startswith(f"{known}-") for known in left_out)

    def questions(some: Sequence[Question]) -> tuple[Question, ...]:
        return tuple(replace(q, item_id=prefix + q.item_id) for q in some if stays(q.item_id))

    def facts(some: Sequence[Fact]) -> tuple[Fact, ...]:
        return tuple(
            replace(fact, id=prefix + fact.id, questions=questions(fact.questions)) for fact in some if stays(fact.id)
        )

    def recalls(some: Sequence[Recall]) -> tuple[Recall, ...]:
        return tuple(
            replace(recall, question=replace(recall.question, item_id=prefix + recall.question.item_id))
            for recall in some
            if stays(recall.question.item_id)
        )

    return replace(
        suite,
        taught=facts(suite.taught),
        distractors=facts(suite.distractors),
        untaught=questions(suite.untaught),
        near_miss=questions(suite.near_miss),
        conflict=recalls(suite.conflict),
        new=recalls(suite.new),
    )
