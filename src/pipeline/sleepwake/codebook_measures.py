"""The visual codebook on images that it never saw, beside principal components at as many bits an image.

images = images_of(config)
book, seconds = trained_codebook(images.training, config, seed=1, device="cpu", progress=progress)
figures = measure_codebook(book, images, config, device="cpu", progress=progress)
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.config.sleepwake_parts import CodebookConfig
from pipeline.images import load_images
from pipeline.progress import Progress
from pipeline.sleepwake.codebook import GRID, SIDE, Codebook, train_codebook
from pipeline.sleepwake.transform_coding import fit_even_coder, fit_transform_coder


@dataclass(frozen=True)
class CodebookImages:
    """Grey values 0..1, (N, 28, 28) each: what is learned from, by what settings are chosen, and what is reported."""

    training: Tensor
    validation: Tensor
    test: Tensor


def images_of(config: CodebookConfig) -> CodebookImages:
    """The images of the configured set; the last ones of its training split validate.

    Raises:
        DataError: They are nowhere.
    """
    images, test = (_images(config, part) for part in ("train", "test"))
    return CodebookImages(images[: -config.validation], images[-config.validation :], test)


def measure_codebook(
    book: Codebook, images: CodebookImages, config: CodebookConfig, device: str, progress: Progress
) -> dict[str, float]:
    """Compare a codebook with principal components on images that neither saw.

    Returns:
        What `held_out_figures` says of test images; ``pca_error`` and ``even_pca_error`` of principal components with
        as many bits, shared out in the best way and evenly; ``gain`` and ``even_gain``, 1 − error / either; with
        ``validation_`` before them for validation images; ``bits`` an image.
    """
    progress.phase("principal components")
    coder, even = (fit(images.training, bits_of(config)) for fit in (fit_transform_coder, fit_even_coder))
    figures = {"bits": float(coder.bits)}
    for name, held_out in (("validation_", images.validation), ("", images.test)):
        found = held_out_figures(book, held_out, device)
        best, evenly = (_error(shown, held_out) for shown in (coder.pictures(held_out), even.pictures(held_out)))
        found |= {"pca_error": best, "even_pca_error": evenly}
        found |= {"gain": 1 - found["error"] / best, "even_gain": 1 - found["error"] / evenly}
        figures |= {f"{name}{key}": value for key, value in found.items()}
    return figures


def held_out_figures(book: Codebook, images: Tensor, device: str) -> dict[str, float]:
    """``usage`` (share of the K codes that occur), ``perplexity`` (of their shares) and ``error``, squared a pixel."""
    codes = book.codes(images.to(device))
    return usage(codes, book.config.codes) | {"error": _error(book.pictures(codes).cpu(), images)}


def trained_codebook(
    images: Tensor, config: CodebookConfig, seed: int, device: str, progress: Progress
) -> tuple[Codebook, float]:
    """A codebook of images (N, 28, 28) and the seconds that took."""
    progress.phase("codebook", config.steps)

    def told(step: int, loss: float) -> None:
        progress.advance()
        progress.note(f"error {loss:.4f}")

    started = time.perf_counter()
    book = train_codebook(images.to(device), config, seed, told)
    return book, time.perf_counter() - started


def bits_of(config: CodebookConfig) -> int:
    """Bits of an image as codes, each of the same length."""
    return GRID**2 * math.ceil(math.log2(config.codes))


def usage(codes: Tensor, count: int) -> dict[str, float]:
    """The share of ``count`` codes that occur, and the perplexity of their shares."""
    shares = torch.bincount(codes.flatten(), minlength=count).double() / codes.numel()
    entropy = -(shares * shares.clamp(min=1e-12).log()).sum()
    return {"usage": float((shares > 0).double().mean()), "perplexity": float(entropy.exp())}


def _images(config: CodebookConfig, part: str) -> Tensor:
    """Grey values 0..1 of a split, (N, 28, 28)."""
    found = load_images(config.data, "train" if part == "train" else "test")
    return torch.from_numpy(found.images.copy()).view(-1, SIDE, SIDE).float() / 255


def _error(shown: Tensor, images: Tensor) -> float:
    return float((shown - images).square().double().mean())
