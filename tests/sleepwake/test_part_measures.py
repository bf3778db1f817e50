"""Figures of the codebook and of arithmetic: all there, within their bounds, at equal operations."""

from __future__ import annotations

import pytest
import torch

from pipeline.config.sleepwake_parts import ArithmeticConfig, CodebookConfig
from pipeline.progress import Silent
from pipeline.sleepwake import codebook_measures
from pipeline.sleepwake.arithmetic_measures import measure_arithmetic
from pipeline.sleepwake.codebook_measures import measure_codebook
from pipeline.sleepwake.maze import draw_walks, render
from tests.sleepwake.test_arithmetic_training import TINY as ARITHMETIC


def test_the_codebook_is_measured_on_images_that_it_never_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, torch.Tensor] = {}

    def images(config: CodebookConfig, part: str) -> torch.Tensor:
        seen[part] = render(draw_walks(0, "train" if part == "train" else "test", 1, 240).boards[:, 0])
        return seen[part]

    trained: list[torch.Tensor] = []
    train = codebook_measures.trained_codebook

    def recorded(images: torch.Tensor, *others: object) -> object:
        trained.append(images)
        return train(images, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(codebook_measures, "_images", images)
    monkeypatch.setattr(codebook_measures, "trained_codebook", recorded)
    config = CodebookConfig(codes=8, dimension=4, width=8, blocks=0, steps=40, warmup=10, batch=16, validation=100)
    found = measure_codebook(config, 0, "cpu", Silent())
    assert torch.equal(trained[0], seen["train"][:140])
    assert found["bits"] == 49 * 3
    assert 0 < found["usage"] <= 1 <= found["perplexity"] <= 8
    assert found["gain"] == pytest.approx(1 - found["error"] / found["pca_error"])
    assert found["even_gain"] == pytest.approx(1 - found["error"] / found["even_pca_error"])
    assert {"validation_error", "validation_pca_error", "validation_usage", "seconds"} <= set(found)


def test_arithmetic_is_asked_of_both_arms() -> None:
    config: ArithmeticConfig = ARITHMETIC.model_copy(update={"steps": 3})
    found = measure_arithmetic(config, 0, "cpu", Silent())
    names = ("addition", "subtraction", "accuracy", "two_digits", "validation")
    assert {f"{arm}.{name}" for arm in ("worked", "direct") for name in names} <= set(found)
    assert all(0 <= found[f"worked.{name}"] <= 1 for name in names)
    assert found["gain"] == found["worked.accuracy"] - found["direct.accuracy"]
    assert 0 < found["addition.n"] <= 10
