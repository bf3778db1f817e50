"""Muon on a CPU against PyTorch's own, whose orthogonalisation rounds to bfloat16."""

from __future__ import annotations

import pytest
import torch

from pipeline.sleepwake.muon import CpuMuon, orthogonalised

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


@pytest.mark.parametrize("shape", [(3, 16, 48), (3, 48, 16), (2, 24, 24)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape) * torch.tensor([1e-3, 1.0, 1e3])[: shape[0], None, None]
    found = orthogonalised(matrices, COEFFICIENTS, 5, 1e-7)
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    values = torch.diagonal(left.mT @ found @ right.mT, dim1=1, dim2=2)
    assert values.min() > 0 and values.max() < 1.3
    assert values.quantile(0.1) > 0.6  # the smallest of a square matrix is still on its way
    torch.testing.assert_close(left @ torch.diag_embed(values) @ right, found, rtol=0, atol=1e-4)


def test_matrices_together_are_what_each_is_alone() -> None:
    torch.manual_seed(1)
    matrices = torch.randn(4, 12, 20)
    together = orthogonalised(matrices, COEFFICIENTS, 5, 1e-7)
    alone = torch.cat([orthogonalised(matrix[None], COEFFICIENTS, 5, 1e-7) for matrix in matrices])
    torch.testing.assert_close(together, alone)


def test_a_matrix_of_zeros_stays() -> None:
    assert not orthogonalised(torch.zeros(1, 4, 6), COEFFICIENTS, 5, 1e-7).any()


def test_steps_are_those_of_pytorch_but_for_its_rounding() -> None:
    torch.manual_seed(2)
    begun = [torch.randn(16, 48), torch.randn(16, 48), torch.randn(48, 16), torch.randn(24, 24)]
    ours, theirs = ([torch.nn.Parameter(weight.clone()) for weight in begun] for _ in range(2))
    optimizers = [
        CpuMuon(ours, lr=0.05, weight_decay=0.1),
        torch.optim.Muon(theirs, lr=0.05, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    ]
    for _ in range(6):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for mine, other, start in zip(ours, theirs, begun, strict=True):
        assert (mine - other).norm() < 0.02 * (other - start).norm()


def test_weights_without_a_gradient_and_closures() -> None:
    weight = torch.nn.Parameter(torch.ones(3, 5))
    optimizer = CpuMuon([weight], lr=0.1, weight_decay=0.5)
    optimizer.step()
    assert torch.equal(weight, torch.ones(3, 5))
    with pytest.raises(ValueError, match="no closure"):
        optimizer.step(lambda: 0.0)
