"""What a stream shows in which order."""

from __future__ import annotations

import pytest
import torch

from pipeline.continual.stream import PAIRS, Scenario, split_stream
from tests.continual.streams import PER_CLASS, squares


def stream_of(scenario: Scenario = "class", seed: int = 3, judged_by: str = "test"):  # type: ignore[no-untyped-def]
    return split_stream("mnist", scenario, seed, squares, validation_images=100, judged_by=judged_by)


def test_every_class_is_in_one_task_and_every_image_is_seen_once() -> None:
    stream = stream_of()
    assert sorted(stream.answers) == sorted(PAIRS) and stream.outputs == 10
    for answers, task, judged in zip(stream.answers, stream.train, stream.judged, strict=True):
        assert set(task.labels.tolist()) == set(judged.labels.tolist()) == set(answers)
        assert len(judged) == 2 * PER_CLASS["test"]
    assert sum(map(len, stream.train)) == 10 * PER_CLASS["train"] - 100


def test_domain_incremental_asks_for_the_second_class() -> None:
    by_class, by_domain = stream_of("class"), stream_of("domain")
    assert by_domain.outputs == 2
    for one, two in zip(by_class.train, by_domain.train, strict=True):
        assert torch.equal(one.images, two.images) and torch.equal(one.labels % 2, two.labels)


def test_the_seed_orders_tasks_and_images() -> None:
    orders = {stream_of(seed=seed).answers for seed in range(8)}
    assert len(orders) > 1
    assert stream_of(seed=5).answers == stream_of(seed=5).answers


@pytest.mark.parametrize("scenario", ["class", "domain"])
def test_validation_images_are_the_last_of_the_training_set_and_never_learned_from(scenario: Scenario) -> None:
    stream = stream_of(scenario, judged_by="validation")
    learned = {image.numpy().tobytes() for task in stream.train for image in task.images}
    judged = {image.numpy().tobytes() for task in stream.judged for image in task.images}
    last = {image.tobytes() for image in squares("mnist", "train").images[-100:]}
    assert judged == last and not learned & judged
