"""The loss against its definition, and no distances without a codebook."""

from __future__ import annotations

import pytest
import torch

from pipeline.errors import ModelError
from pipeline.sleepwake.discrepancy import code_distances, token_discrepancy


def vectors(count: int = 5) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(0))


def test_the_loss_is_the_expected_distance() -> None:
    book = vectors()
    distances = code_distances(book)
    apart = (book[:, None] - book[None]).square().sum(-1)
    torch.testing.assert_close(distances, apart / apart[~torch.eye(5, dtype=torch.bool)].mean())
    logits = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(1))
    codes = torch.tensor([[0, 1, 2, 3], [4, 4, 0, 2]])
    expected = sum(
        float(logits[b, i].softmax(-1)[n] * distances[codes[b, i], n])
        for b in range(2)
        for i in range(4)
        for n in range(5)
    )
    assert float(token_discrepancy(logits, codes, distances)) == pytest.approx(expected / 8, rel=1e-5)


def test_a_near_code_costs_less_than_a_far_one() -> None:
    distances = code_distances(torch.tensor([[0.0], [0.1], [5.0]]))
    sure = [torch.tensor([[9.0 if n == code else -9.0 for n in range(3)]]) for code in range(3)]
    right, near, far = (float(token_discrepancy(logits, torch.tensor([0]), distances)) for logits in sure)
    assert right < near < far
    assert right == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("book", "found"), [(None, "found none"), (vectors(1), "found none"), (torch.ones(4, 3), "all the same")]
)
def test_without_a_codebook_there_is_no_loss(book: torch.Tensor | None, found: str) -> None:
    with pytest.raises(ModelError, match=found):
        code_distances(book)
