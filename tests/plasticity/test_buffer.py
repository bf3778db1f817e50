"""The task buffer: its budget, what each strategy keeps and draws, and that no task is ever dropped."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from pipeline.config.liquid import Sampling
from pipeline.plasticity.buffer import TaskBuffer

STRATEGIES = get_args(Sampling)


def offered(strategy: Sampling, tasks: int, each: int, capacity: int, seed: int = 0, batch: int = 64) -> TaskBuffer:
    """Tasks of two classes each; the score of an image is its place in the task, from 1."""
    buffer = TaskBuffer(capacity, 2 * tasks, strategy, np.random.default_rng(seed))
    for task in range(tasks):
        labels = 2 * task + torch.arange(each) % 2
        for start in range(0, each, batch):
            rows = torch.arange(start, min(start + batch, each))
            images = rows[:, None].expand(-1, 784).to(torch.uint8)
            buffer.offer(images, labels[rows], torch.zeros(len(rows), 2 * tasks), rows + 1.0, task)
    return buffer


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("tasks", "each", "capacity"), [(5, 200, 500), (5, 1200, 500), (10, 300, 60), (3, 40, 7)])
def test_no_strategy_drops_a_task_or_exceeds_its_budget(
    strategy: Sampling, tasks: int, each: int, capacity: int
) -> None:
    buffer = offered(strategy, tasks, each, capacity)
    counts = torch.bincount(buffer.tasks, minlength=tasks)
    assert len(buffer) == capacity and counts.min() >= max(1, capacity // (2 * tasks))


def test_a_uniform_buffer_is_a_reservoir() -> None:
    counts = torch.zeros(5)
    for seed in range(40):
        counts += torch.bincount(offered("uniform", 5, 200, 100, seed).tasks, minlength=5)
    assert counts.sum() == 4000 and (counts - 800).abs().max() < 130  # 4.7 standard deviations


def test_a_balanced_buffer_holds_as_many_of_every_class() -> None:
    buffer = offered("balanced", 5, 333, 500)
    assert torch.bincount(buffer.labels).tolist() == [50] * 10


def test_importance_keeps_and_draws_what_scores_high() -> None:
    kept = offered("importance", 2, 500, 200)
    assert kept.scores.mean() > offered("uniform", 2, 500, 200).scores.mean() + 50
    drawn = torch.stack([kept.draw(50, 0).images[:, 0] for _ in range(40)]).mean()
    assert drawn > kept.images[:, 0].float().mean() / 255


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_draw_repeats_nothing(strategy: Sampling) -> None:
    buffer = offered(strategy, 1, 100, 100)
    drawn = buffer.draw(60, 0)
    assert len(drawn.labels) == 60 and len(drawn.images[:, 0].unique()) == 60
    assert len(buffer.draw(1000, 0).labels) == 100


def test_what_is_restored_goes_on_alike() -> None:
    one, other = offered("importance", 2, 100, 50), TaskBuffer(50, 4, "importance", np.random.default_rng(9))
    other.restore(one.state())
    assert other.bytes == one.bytes and torch.equal(other.images, one.images)
