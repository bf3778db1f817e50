"""Tasks: which images are learned from, which validate, which test, and that they never meet."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from pipeline.columns.tasks import load_tasks
from pipeline.config.columns import DatasetConfig, TaskConfig
from pipeline.errors import DataError
from pipeline.images import ImageSet

PAIR = TaskConfig(name="pair", classes=(7, 3))
CONFIG = DatasetConfig(max_train_samples=20, held_out_fraction=0.25, validation_images=40)


def images(name: str, split: Literal["train", "test"]) -> ImageSet:
    """120 images whose pixels say which row they are."""
    labels = (np.arange(120) % 10).astype(np.uint8)
    pixels = np.repeat(np.arange(120, dtype=np.uint8)[:, None], 784, axis=1)
    return ImageSet(name=name, split=split, images=pixels, labels=labels, digest="", source="made", reduced=False)


def test_the_second_class_is_the_positive_answer_and_rows_say_which_image_it_is() -> None:
    data = load_tasks([PAIR], CONFIG, 0, images)["pair"]
    for part in (data.train, data.validation, data.test):
        assert set(part.rows % 10) <= {3, 7}
        assert torch.equal(part.answers, torch.from_numpy((part.rows % 10 == 3).astype(np.float32)))
        torch.testing.assert_close(part.images[:, 0] * 255, torch.from_numpy(part.rows.astype(np.float32)))


def test_training_and_validation_images_never_meet() -> None:
    data = load_tasks([PAIR], CONFIG, 0, images)["pair"]
    assert len(data.train) == 12 and max(data.train.rows) < 80  # 16 of the pair before row 80, a quarter held out
    assert sorted(data.validation.rows) == [r for r in range(80, 120) if r % 10 in (3, 7)]
    assert sorted(data.test.rows) == [r for r in range(120) if r % 10 in (3, 7)]


def test_the_seed_draws_the_training_images_alone() -> None:
    few = CONFIG.model_copy(update={"max_train_samples": 6})
    first, again, other = (load_tasks([PAIR], few, seed, images)["pair"] for seed in (0, 0, 1))
    assert first.train.rows.tolist() == again.train.rows.tolist() != other.train.rows.tolist()
    assert first.validation.rows.tolist() == other.validation.rows.tolist()
    assert torch.equal(first.test.images, other.test.images)


def test_a_class_without_images_is_an_error() -> None:
    with pytest.raises(DataError, match=r"mnist \(train\), rows 0 to 80: no image of class 11, which task odd"):
        load_tasks([TaskConfig(name="odd", classes=(1, 11))], CONFIG, 0, images)


def test_taking_keeps_the_order() -> None:
    train = load_tasks([PAIR], CONFIG, 0, images)["pair"].train
    taken = train.take([3, 0])
    assert taken.rows.tolist() == [train.rows[3], train.rows[0]] and len(taken) == 2
    assert torch.equal(taken.images[1], train.images[0]) and taken.answers[0] == train.answers[3]
