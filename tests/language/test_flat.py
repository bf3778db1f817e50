"""Matrices in one vector take the same steps as one by one."""

from __future__ import annotations

import torch
from torch.nn import Parameter

from pipeline.language.flat import FlatParameters

SHAPES = {"a": (3, 2), "b": (4,), "c": (2, 1, 2)}


def matrices() -> dict[str, Parameter]:
    generator = torch.Generator().manual_seed(1)
    return {name: Parameter(torch.randn(*shape, generator=generator)) for name, shape in SHAPES.items()}


def loss(parameters: dict[str, Parameter]) -> torch.Tensor:
    return torch.stack([(p.flatten().square() * (i + 1)).sum() for i, p in enumerate(parameters.values())]).sum()


def test_steps_are_those_of_separate_parameters() -> None:
    apart, together = matrices(), matrices()
    flat = FlatParameters(together)
    assert all(torch.equal(together[name], apart[name]) for name in SHAPES)
    one_by_one = torch.optim.AdamW(apart.values(), 0.1, weight_decay=0.0)
    at_once = torch.optim.AdamW([flat.vector], 0.1, weight_decay=0.0)
    for _ in range(3):
        for parameters, optimiser, clipped in ((apart, one_by_one, apart.values()), (together, at_once, [flat.vector])):
            loss(parameters).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(clipped, 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=parameters is apart)
    for name in SHAPES:
        torch.testing.assert_close(together[name], apart[name])
        assert together[name].shape == SHAPES[name]


def test_views_take_a_vector_apart_in_order() -> None:
    flat = FlatParameters(matrices())
    parts = flat.views(torch.arange(14.0))
    assert [tuple(part.shape) for part in parts.values()] == list(SHAPES.values())
    assert torch.cat([part.flatten() for part in parts.values()]).tolist() == list(range(14))
