"""Replay buffers keep what they say they keep."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.columns.augmentation import shifted
from pipeline.continual.buffer import Buffer, randomly_shifted


def offered(count: int, capacity: int, seed: int) -> list[int]:
    """Which of ``count`` numbered images a reservoir holds."""
    buffer = Buffer(capacity, 1, np.random.default_rng(seed))
    for number in range(count):
        image = torch.full((1, 784), number, dtype=torch.uint8)
        buffer.offer(image, torch.tensor([number]), torch.tensor([[float(number)]]))
    held = buffer.labels[: buffer.filled].tolist()
    assert torch.equal(buffer.images[: buffer.filled, 0], buffer.labels[: buffer.filled])
    assert buffer.logits[: buffer.filled, 0].tolist() == held
    return held


@given(count=st.integers(0, 30), capacity=st.integers(1, 12), seed=st.integers(0, 99))
def test_a_reservoir_holds_different_images_up_to_its_capacity(count: int, capacity: int, seed: int) -> None:
    held = offered(count, capacity, seed)
    assert len(held) == len(set(held)) == min(count, capacity)


def test_a_reservoir_keeps_every_image_equally_often() -> None:
    counts = np.bincount([number for seed in range(3000) for number in offered(12, 4, seed)], minlength=12)
    assert abs(counts / 3000 - 4 / 12).max() < 0.035  # four standard errors


def test_bytes_count_images_labels_and_logits() -> None:
    generator = np.random.default_rng(0)
    assert Buffer(200, 0, generator).bytes == 200 * 785
    assert Buffer(200, 10, generator).bytes == 200 * (785 + 40)


def test_a_draw_repeats_no_row_and_takes_no_more_than_there_is() -> None:
    buffer = Buffer(9, 2, np.random.default_rng(1))
    images = torch.arange(5, dtype=torch.uint8).view(-1, 1).expand(5, 784)
    buffer.replace(images, torch.arange(5), torch.zeros(5, 2))
    drawn, labels, logits = buffer.draw(64, 0)
    assert sorted(labels.tolist()) == [0, 1, 2, 3, 4] and logits.shape == (5, 2)
    assert torch.allclose(drawn[:, 0] * 255, labels.float())


def test_every_image_moves_by_whole_pixels_on_its_own() -> None:
    images = torch.rand(40, 784, generator=torch.Generator().manual_seed(1))
    moved = randomly_shifted(images, 2, np.random.default_rng(7))
    steps = range(-2, 3)
    found = {
        next((r, c) for r in steps for c in steps if torch.equal(shifted(before[None], r, c), after[None]))
        for before, after in zip(images, moved, strict=True)
    }
    assert len(found) > 10
    assert randomly_shifted(images, 0, np.random.default_rng(7)) is images
