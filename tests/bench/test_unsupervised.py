"""Images by STDP alone, with few neurons and few images."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.bench import benchmark
from pipeline.errors import DataError
from pipeline.images import ImageSet


def bars(name: str, split: str) -> ImageSet:
    """Ten classes: which two rows of 28 are bright."""
    generator = np.random.default_rng(len(split))
    labels = generator.integers(0, 10, 1200 if split == "train" else 200).astype(np.uint8)
    images = generator.integers(0, 60, (len(labels), 28, 28)).astype(np.uint8)
    for at, label in enumerate(labels):
        images[at, 2 * label + 2 : 2 * label + 4] = generator.integers(120, 255, (2, 28))
    return ImageSet(name, "train", images.reshape(-1, 784), labels, "0" * 64, "made here", True)


@pytest.fixture(autouse=True)
def _made_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.images.load_images", bars)


SMALL = (
    "seeds=[1, 2]",
    "validation_images=200",
    "layer.neurons=30",
    "layer.labelled_images=500",
    "layer.threshold=8.0",
)


@pytest.mark.parametrize("judged_by", ["test", "validation"])
def test_what_is_learned_answers_images_that_were_not(judged_by: str) -> None:
    figures = benchmark("unsupervised")((*SMALL, f"judged_by={judged_by}"))
    rows = figures["mnist, 30 neurons, 1,000 images once"]
    assert isinstance(rows, dict) and set(rows) == {"seed 1", "seed 2"}
    for row in rows.values():
        assert row["accuracy"] > 0.9 and row["accuracy"] > row["before learning"]
        assert 20 < row["neurons that fire"] <= 30
    assert f"accuracy on {judged_by} images (%)" in figures


def test_images_must_be_left_to_learn_from() -> None:
    with pytest.raises(DataError, match="validation_images=1200 leave none"):
        benchmark("unsupervised")(("validation_images=1200",))
