"""The parts of a day: what is asked as what, what a nap frees, and what it leaves alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline.columns.brain import newborn
from pipeline.columns.day import buffered, free_columns, live, moments_of, steps_of
from pipeline.columns.tasks import Examples, TaskData
from pipeline.config.columns import ColumnsConfig

CONFIG = ColumnsConfig.model_validate_json("""{
    "tasks": [{"name": "a", "classes": [0, 1]},
              {"name": "a2", "classes": [2, 3], "bank": "novel", "consolidate_into": "a"},
              {"name": "b", "classes": [4, 5], "bank": "novel"},
              {"name": "a3", "classes": [6, 7], "bank": "novel", "consolidate_into": "a"}],
    "model": {"hidden_per_column": 8}, "training": {"epochs": 2, "batch_size": 16},
    "sleep": {"epochs": 2, "batch_size": 16, "budget": 20, "after": ["b"]},
    "masking": {"soft_columns": {"total_columns": 5, "base_columns": 1, "lambda_entropy": 0.5}}}""")


def examples(count: int, seed: int) -> Examples:
    images = torch.rand(count, 784, generator=torch.Generator().manual_seed(seed))
    return Examples(images, (images[:, 0] > 0.5).float(), np.arange(count))


DATA = {task.name: TaskData(*(examples(48, seed=n),) * 3) for n, task in enumerate(CONFIG.tasks)}


def test_a_nap_asks_what_it_consolidated_as_its_parent_ever_after() -> None:
    moments = moments_of(CONFIG)
    assert [m.name for m in moments] == ["after_a", "after_a2", "after_b", "after_nap_b", "after_a3"]
    assert moments[2].asked_as == {"a": "a", "a2": "a2", "b": "b"} == moments[3].taught_as
    assert moments[3].asked_as == {"a": "a", "a2": "a", "b": "b"} == moments[4].taught_as
    assert moments[4].asked_as == {"a": "a", "a2": "a", "b": "b", "a3": "a3"}
    unbroken = CONFIG.model_copy(update={"sleep": CONFIG.sleep.model_copy(update={"after": ()})})
    assert [m.task for m in moments_of(unbroken)] == ["a", "a2", "b", "a3"]


def test_a_day_frees_the_columns_of_primes_and_keeps_the_others() -> None:
    brain, moments = newborn(CONFIG), moments_of(CONFIG)
    for moment in moments[:3]:
        live(brain, moment, CONFIG, DATA)
    with torch.no_grad():  # settled for certain: a2 on column 1, b on column 2
        brain.controller.router.logits["a2"].copy_(torch.tensor([9.0, 0, 0, 0]))
        brain.controller.router.logits["b"].copy_(torch.tensor([0, 9.0, 0, 0]))
    evening, steps = brain.frozen(), []
    live(brain, moments[3], CONFIG, DATA, lambda task, loss: steps.append(task))
    assert len(steps) == steps_of(moments[3], CONFIG, DATA) == 2 * 3 * 2 and set(steps) == {"a", "a2", "b"}
    moved = [not torch.equal(brain.network.encoder[c], evening.network.encoder[c]) for c in range(5)]
    assert moved[:2] == [True, True] and moved[3:] == [False, False]  # the parent learned, column 1 is fresh
    fresh = newborn(CONFIG).network.encoder[1]
    assert not torch.equal(brain.network.encoder[1], fresh) and brain.network.encoder[1].std() < 2 * fresh.std()
    assert torch.equal(brain.network.bias[1], torch.zeros(1))


def test_nothing_is_freed_that_a_remaining_task_uses() -> None:
    brain, moment = newborn(CONFIG), moments_of(CONFIG)[3]
    before = brain.frozen()  # all masks are even: every novel column is b's too
    free_columns(brain, moment, seed=9)
    assert all(
        torch.equal(new, old) for new, old in zip(brain.network.parameters(), before.network.parameters(), strict=True)
    )


def test_the_buffer_of_a_nap_is_that_of_the_night() -> None:
    held = buffered(CONFIG, DATA)
    assert {len(own) for own in held.values()} == {20}
    assert steps_of(moments_of(CONFIG)[0], CONFIG, DATA) == 2 * 3


def test_a_nap_after_no_task_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"sleep\.after: c is no task"):
        ColumnsConfig.model_validate_json(json.dumps(CONFIG.model_dump(mode="json") | {"sleep": {"after": ["c"]}}))


def test_a_task_that_is_called_like_a_nap_is_refused() -> None:
    plain = CONFIG.model_dump(mode="json")
    plain["tasks"] += [{"name": "nap_b", "classes": [8, 9]}]
    with pytest.raises(ValidationError, match="nap_b is what a nap is called"):
        ColumnsConfig.model_validate_json(json.dumps(plain))
