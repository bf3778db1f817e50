"""Figures of the codebook and of arithmetic: all there, within their bounds, at equal operations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.config.sleepwake_parts import ArithmeticConfig, CodebookConfig
from pipeline.progress import Silent
from pipeline.sleepwake import codebook_measures
from pipeline.sleepwake.arithmetic_measures import measure_arithmetic
from pipeline.sleepwake.building import save_model
from pipeline.sleepwake.codebook import load_codebook
from pipeline.sleepwake.codebook_measures import images_of, measure_codebook, trained_codebook
from pipeline.sleepwake.maze import draw_walks, render
from tests.sleepwake.test_arithmetic_training import TINY as ARITHMETIC


def test_the_codebook_is_measured_on_images_that_it_never_saw(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, torch.Tensor] = {}

    def images(config: CodebookConfig, part: str) -> torch.Tensor:
        seen[part] = render(draw_walks(0, "train" if part == "train" else "test", 1, 240).boards[:, 0])
        return seen[part]

    monkeypatch.setattr(codebook_measures, "_images", images)
    config = CodebookConfig(codes=8, dimension=4, width=8, blocks=0, steps=40, warmup=10, batch=16, validation=100)
    found = images_of(config)
    assert torch.equal(found.training, seen["train"][:140]) and torch.equal(found.validation, seen["train"][140:])
    assert found.test is seen["test"]
    book, seconds = trained_codebook(found.training, config, 0, "cpu", Silent())
    figures = measure_codebook(book, found, config, "cpu", Silent())
    assert seconds > 0 and figures["bits"] == 49 * 3
    assert 0 < figures["usage"] <= 1 <= figures["perplexity"] <= 8
    assert figures["gain"] == pytest.approx(1 - figures["error"] / figures["pca_error"])
    assert figures["even_gain"] == pytest.approx(1 - figures["error"] / figures["even_pca_error"])
    assert {"validation_error", "validation_pca_error", "validation_usage"} <= set(figures)
    again = load_codebook(config, save_model(book, tmp_path / "codebook.safetensors"), "cpu")
    assert measure_codebook(again, found, config, "cpu", Silent()) == figures


def test_arithmetic_is_asked_of_both_arms() -> None:
    config: ArithmeticConfig = ARITHMETIC.model_copy(update={"steps": 3})
    found = measure_arithmetic(config, 0, "cpu", Silent())
    names = ("addition", "subtraction", "accuracy", "two_digits", "validation")
    assert {f"{arm}.{name}" for arm in ("worked", "direct") for name in names} <= set(found)
    assert all(0 <= found[f"worked.{name}"] <= 1 for name in names)
    assert found["gain"] == found["worked.accuracy"] - found["direct.accuracy"]
    assert 0 < found["addition.n"] <= 10
