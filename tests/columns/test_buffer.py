"""The replay buffer keeps images as they were, within its budget."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.columns.buffer import buffer_table, kept, replayed_examples
from pipeline.columns.tasks import Examples


def examples(count: int, seed: int) -> Examples:
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (count, 784)).astype(np.float32) / 255
    answers = generator.integers(0, 2, count).astype(np.float32)
    return Examples(torch.from_numpy(pixels), torch.from_numpy(answers), np.arange(count) * 3 + seed)


def test_images_answers_and_rows_survive_the_table() -> None:
    stored = {"a": examples(5, 1), "b": examples(4, 2)}
    table = buffer_table(stored)
    ids = [name for name in reversed(table.column("episode_id").to_pylist()) if name != "a/1"]
    found = replayed_examples(table, ids, ["a", "b", "c"])
    assert found["a"].rows.tolist() == [13, 10, 7, 4] and len(found["b"]) == 4 and len(found["c"]) == 0
    for task in ("a", "b"):
        back = {int(row): i for i, row in enumerate(stored[task].rows)}
        order = [back[int(row)] for row in found[task].rows]
        assert torch.equal(found[task].images, stored[task].images[order])
        assert torch.equal(found[task].answers, stored[task].answers[order])


@given(sizes=st.dictionaries(st.sampled_from("abc"), st.integers(0, 40)), budget=st.integers(0, 50))
def test_the_budget_holds_for_every_task(sizes: dict[str, int], budget: int) -> None:
    chosen = kept(sizes, budget, 7)
    for task, size in sizes.items():
        assert len(chosen[task]) == len(set(chosen[task])) == min(size, budget)
        assert set(chosen[task]) <= set(range(size))
    assert kept(sizes, budget, 7) == chosen
    assert kept(sizes, None, 7) == {task: list(range(size)) for task, size in sizes.items()}


def test_an_empty_buffer_replays_nothing() -> None:
    table = buffer_table({})
    assert {task: len(own) for task, own in replayed_examples(table, [], ["a"]).items()} == {"a": 0}
