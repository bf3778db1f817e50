"""Needles: what a sequence tells and asks is read off its tokens again, one by one."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.needle_task import DataConfig
from pipeline.needle.tasks.registry import task_of
from pipeline.needle.tasks.task import SPLITS, Examples

HARD = DataConfig(length=128, n_pairs=5, n_queries=3, overwrites=7, distractors=4, num_values=16, vocab_extra=10)


def told_and_asked(
    tokens: list[int], ids: dict[str, int]
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """Pairs (position of the value, key, value) in order, and questions (position of ?, key, last value told)."""
    pairs, questions, memory, at = [], [], {}, 0
    while at < len(tokens):
        if tokens[at] == ids["start"]:
            key, value = tokens[at + 1] - ids["keys"], tokens[at + 2] - ids["values"]
            assert tokens[at + 3] == ids["end"] and 0 <= key < ids["values"] - ids["keys"] and value >= 0
            memory[key] = value
            pairs.append((at + 2, key, value))
            at += 4
        elif tokens[at] == ids["query"]:
            key = tokens[at + 1] - ids["keys"]
            assert tokens[at + 2] == ids["ask"]
            questions.append((at + 2, key, memory[key]))
            at += 3
        else:
            assert tokens[at] < ids["start"]  # noise
            at += 1
    return pairs, questions


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 8), st.integers(0, 5), st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_what_is_told_last_is_the_answer(seed: int, pairs: int, again: int, near: int, queries: int) -> None:
    config = HARD.at(n_pairs=pairs, overwrites=again, distractors=near, n_queries=min(queries, pairs))
    task = task_of(config)
    made = task.examples(seed, "train", np.arange(4))
    for row in range(4):
        told, asked = told_and_asked(made.tokens[row].tolist(), dict(task.ids))
        assert told == list(zip(made.pair_pos[row], made.pair_key[row], made.pair_val[row], strict=True))
        assert {(pos, value) for pos, _, value in asked} == set(zip(made.query_pos[row], made.target[row], strict=True))
        assert [(made.pair_key[row][p], made.pair_val[row][p]) for p in made.query_pair[row]] == [
            (key, value) for pos in made.query_pos[row] for where, key, value in asked if where == pos
        ]
        assert len(told) == config.blocks and len({key for _, key, _ in told}) == pairs + near
        assert len({key for _, key, _ in asked}) == len(asked) == config.n_queries
        assert all(pos < 96 for pos, _, _ in told) and all(pos >= 96 + 2 for pos, _, _ in asked)
        assert len({(key, value) for _, key, value in told}) == len(told)  # told again means told otherwise


def test_a_distractor_has_the_free_key_next_to_a_needle_and_is_never_asked() -> None:
    made = task_of(HARD.at(n_pairs=1, n_queries=1, overwrites=0, distractors=3)).examples(3, "val", np.arange(200))
    asked = np.take_along_axis(made.pair_key, made.query_pair, 1)
    offsets = np.sort((made.pair_key - asked + 8) % 16 - 8, 1)
    kinds = {tuple(row) for row in offsets.tolist()}
    assert kinds == {(-1, 0, 1, 2), (-2, -1, 0, 1)}


@pytest.mark.parametrize(("task", "more"), [("needle", {}), ("mqar", {}), ("listops", {"length": 2001})])
def test_an_example_depends_on_its_index_alone(task: str, more: dict[str, int]) -> None:
    made = task_of(DataConfig.model_validate({"task": task, **more}))
    some = np.array([7, 3, 11, 3])
    whole, parts = made.examples(5, "test", np.arange(12)), made.examples(5, "test", some)
    for field in fields(Examples):
        assert np.array_equal(getattr(parts, field.name), getattr(whole, field.name)[some]), field.name
    assert whole.example_id.tolist() == list(range(12))


@pytest.mark.parametrize("task", ["needle", "mqar"])
def test_seeds_and_splits_share_no_sequence(task: str) -> None:
    config = DataConfig.model_validate(
        {"task": task, "length": 64, "n_pairs": 2, "train_size": 500, "val_size": 300, "test_size": 200}
    )
    rows = [
        row.tobytes() for seed in (0, 1) for split in SPLITS for row in task_of(config).examples(seed, split).tokens
    ]
    assert len(set(rows)) == len(rows) == 2000


def test_needles_values_and_questions_are_evenly_drawn() -> None:
    made = task_of(DataConfig(length=64, num_values=8, n_pairs=4)).examples(0, "test", np.arange(8000))
    for values, kinds in ((made.target, 8), (made.pair_key[:, 0], 8), (made.query_pair, 4)):
        counts = np.bincount(values.ravel(), minlength=kinds)
        expected = counts.sum() / kinds
        assert (abs(counts - expected) < 5 * np.sqrt(expected)).all()
    assert len(np.unique(made.query_pos)) == 14  # 48 + 2 to 61 + 2
