"""Codes and pictures fit together, training lowers the error and follows the seed, figures are what they say."""

from __future__ import annotations

import pytest
import torch

from pipeline.config.sleepwake_parts import CodebookConfig
from pipeline.errors import DataError
from pipeline.sleepwake.codebook import Codebook, train_codebook
from pipeline.sleepwake.codebook_measures import bits_of, usage
from pipeline.sleepwake.maze import draw_walks, render

SIZES = CodebookConfig(codes=8, dimension=4, width=8, blocks=1, steps=60, warmup=20, batch=16, lr=1e-2)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return render(draw_walks(0, "train", 1, 90).boards[:, 0])


@pytest.fixture(scope="module")
def book(images: torch.Tensor) -> Codebook:
    return train_codebook(images, SIZES, seed=0)


def test_training_lowers_the_error(images: torch.Tensor, book: Codebook) -> None:
    def error(one: Codebook) -> float:
        return float((one.pictures(one.codes(images)) - images).square().mean())

    assert error(book) < 0.5 * float(images.var())


def test_codes_are_numbers_and_pictures_depend_on_them(images: torch.Tensor, book: Codebook) -> None:
    codes = book.codes(images)
    assert codes.shape == (90, 7, 7) and codes.dtype == torch.int64
    assert int(codes.min()) >= 0 and int(codes.max()) < 8
    shown = book.pictures(codes)
    assert shown.shape == (90, 28, 28) and float(shown.min()) >= 0 and float(shown.max()) <= 1
    assert not torch.allclose(shown, book.pictures((codes + 1) % 8), atol=0.05)
    torch.testing.assert_close(shown, book(images)[0].detach().clamp(0, 1), atol=1e-4, rtol=1e-4)


def test_evaluation_moves_no_code(images: torch.Tensor, book: Codebook) -> None:
    before = book.vectors.clone()
    book.codes(images)
    assert torch.equal(book.vectors, before)


def test_training_follows_the_seed_and_leaves_the_global_one(images: torch.Tensor, book: Codebook) -> None:
    state = torch.random.get_rng_state()
    again = train_codebook(images, SIZES, seed=0)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(again.vectors, book.vectors)
    assert not torch.equal(train_codebook(images, SIZES.model_copy(update={"steps": 21}), seed=1).vectors, book.vectors)


def test_too_few_images_are_refused(images: torch.Tensor) -> None:
    with pytest.raises(DataError, match="expected 16 images or more, a batch, found 3"):
        train_codebook(images[:3], SIZES, seed=0)


def test_usage_and_perplexity() -> None:
    assert usage(torch.tensor([[0, 1], [0, 1]]), 4) == pytest.approx({"usage": 0.5, "perplexity": 2.0})
    assert usage(torch.zeros(3, dtype=torch.long), 4) == pytest.approx({"usage": 0.25, "perplexity": 1.0})


def test_bits_of_an_image() -> None:
    assert bits_of(CodebookConfig(codes=256)) == 49 * 8
    assert bits_of(CodebookConfig(codes=200)) == 49 * 8
