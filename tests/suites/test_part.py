"""A night's stretch of a generated suite: disjoint, complete, under ids of its own."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pipeline.suites.episodic import build_episodic
from pipeline.suites.part import stretch


@given(skip=st.integers(0, 3), n=st.integers(1, 3), seed=st.integers(0, 5))
def test_a_stretch_is_the_rest_of_the_larger_suite(skip: int, n: int, seed: int) -> None:
    whole, before = build_episodic(skip + n, seed), build_episodic(skip, seed) if skip else None
    part = stretch(whole, skip, "x-")
    assert len(part.taught) == n and len(part.distractors) == 2 * n
    assert [replace(f, id=f.id, questions=()) for f in part.taught] == [
        replace(f, id=f"x-{f.id}", questions=()) for f in whole.taught[skip:]
    ]
    assert {q.item_id for fact in part.taught for q in fact.questions} == {fact.id for fact in part.taught}
    ids = {fact.id.removeprefix("x-") for fact in part.taught}
    for questions in (part.untaught, part.near_miss, [r.question for r in (*part.conflict, *part.new)]):
        assert questions and {q.item_id.removeprefix("x-").split("-")[0] for q in questions} == ids
    if before is not None:
        assert not {f.subject for f in before.taught} & {f.subject for f in part.taught}
