"""Bits are spent exactly, levels are where a brute force puts them, more bits never hurt."""

from __future__ import annotations

import pytest
import torch

from pipeline.sleepwake.transform_coding import fit_even_coder, fit_levels, fit_transform_coder, nearest


def pictures(count: int = 300) -> torch.Tensor:
    """Mixtures of six pictures."""
    generator = torch.Generator().manual_seed(0)
    shapes = torch.rand(6, 28, 28, generator=generator)
    return torch.einsum("nk,kij->nij", torch.rand(count, 6, generator=generator), shapes) / 6


def test_every_bit_is_spent_and_more_bits_help() -> None:
    images, errors = pictures(), []
    for bits in (0, 4, 16, 40):
        coder = fit_transform_coder(images, bits)
        assert coder.bits == bits
        errors.append(float((coder.pictures(images) - images).square().mean()))
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.05 * errors[0]
    assert errors[0] == pytest.approx(float(images.var(0, correction=0).mean()), rel=1e-3)


def test_levels_are_the_best_two() -> None:
    values = torch.tensor([0.0, 1.0, 2.0, 10.0, 11.0, 15.0])
    torch.testing.assert_close(fit_levels(values, 1), torch.tensor([1.0, 12.0]))
    torch.testing.assert_close(
        nearest(torch.tensor([-3.0, 6.4, 6.6]), torch.tensor([1.0, 12.0])), torch.tensor([1.0, 1.0, 12.0])
    )


def test_levels_that_nothing_uses_stay_finite() -> None:
    assert torch.isfinite(fit_levels(torch.tensor([1.0, 1.0, 1.0, 2.0]), 3)).all()


def test_even_bits_are_even_and_no_better_than_the_best_share() -> None:
    images = pictures()
    even, best = fit_even_coder(images, 24), fit_transform_coder(images, 24)
    assert len({len(levels) for levels in even.levels}) == 1 and 18 < even.bits <= 24
    errors = [float((coder.pictures(images) - images).square().mean()) for coder in (best, even)]
    assert errors[0] <= 1.02 * errors[1]
