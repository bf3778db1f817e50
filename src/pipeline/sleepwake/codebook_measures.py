"""The visual codebook on images that it never saw, beside principal components at as many bits an image.

figures = measure_codebook(config, seed=1, device="cpu", progress=progress)
"""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor

from pipeline.config.sleepwake_parts import CodebookConfig
from pipeline.images import load_images
from pipeline.progress import Progress
from pipeline.sleepwake.codebook import GRID, SIDE, Codebook, train_codebook
from pipeline.sleepwake.transform_coding import fit_even_coder, fit_transform_coder


def measure_codebook(config: CodebookConfig, seed: int, device: str, progress: Progress) -> dict[str, float]:
    """Train on the training split, measure on the validation part of it and on the test split.

    Returns:
        ``usage`` (share of the K codes that occur) and ``perplexity`` (of their shares) on the test split; ``error``,
        squared a pixel of 0..1; ``pca_error`` and ``even_pca_error`` of principal components with as many bits, shared
        out in the best way and evenly; ``gain`` and ``even_gain``, 1 − error / either; with ``validation_`` before them
        on the validation part; ``bits`` an image; ``seconds`` of training.
    """
    images, test = (_images(config, part) for part in ("train", "test"))
    training, validation = images[: -config.validation], images[-config.validation :]
    book, seconds = trained_codebook(training, config, seed, device, progress)
    progress.phase("principal components")
    coder, even = (fit(training, bits_of(config)) for fit in (fit_transform_coder, fit_even_coder))
    figures = {"bits": float(coder.bits), "seconds": seconds}
    for name, held_out in (("validation_", validation), ("", test)):
        codes = book.codes(held_out.to(device))
        error, best, evenly = (
            _error(shown, held_out)
            for shown in (book.pictures(codes).cpu(), coder.pictures(held_out), even.pictures(held_out))
        )
        figures |= {f"{name}{key}": value for key, value in usage(codes, config.codes).items()}
        figures |= {f"{name}error": error, f"{name}pca_error": best, f"{name}even_pca_error": evenly}
        figures |= {f"{name}gain": 1 - error / best, f"{name}even_gain": 1 - error / evenly}
    return figures


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
