"""The core: a contraction by construction, one fixed point, states that depend on nothing but what a position sees."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.emma import EmmaConfig, NeedleModelConfig
from pipeline.needle.core import FixedPointCore, LiquidLane, bounded, iterate, norm_bound
from pipeline.needle.recurrence import _doubling, recurrence

SIZES = NeedleModelConfig(emb_dim=8, hid_dim=16, mem_dim=32)


def core(**settings: object) -> FixedPointCore:
    torch.manual_seed(0)
    return FixedPointCore(SIZES, EmmaConfig.model_validate(settings), 50)


@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(1, 20), st.floats(0.01, 50))
def test_the_bound_is_above_the_largest_singular_value_and_close_to_it(
    seed: int, rows: int, columns: int, scale: float
) -> None:
    weight = scale * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    largest = float(torch.linalg.matrix_norm(weight, 2))
    assert largest <= float(norm_bound(weight)) * (1 + 1e-5) <= largest * 20 ** (1 / 64) * (1 + 1e-4)
    assert float(torch.linalg.matrix_norm(bounded(weight, 0.9), 2)) <= 0.9 * (1 + 1e-5)
    small = weight * (0.5 / largest)
    torch.testing.assert_close(bounded(small, 0.9), small)


def test_two_starts_converge_to_the_same_point_even_from_wild_weights() -> None:
    solver = core(deq_eval_max_iter=300, deq_eval_tol=1e-6).eval()
    with torch.no_grad():
        solver.recurrent.mul_(100)
    assert solver.spectral_norm() <= 0.9 + 1e-5
    drive = torch.randn(3, 5, 16)
    one, solved = solver.solve(drive)
    other, _ = solver.solve(drive, start=10 * torch.randn(3, 5, 16))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    torch.testing.assert_close(one, torch.tanh(one @ solver.contraction().T + drive), atol=1e-5, rtol=0)
    assert bool(solved.converged.all()) and float(solved.steps.max()) < 300


def test_the_solver_stops_at_the_tolerance_and_says_how_far_it_came() -> None:
    start = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    state, states, told = iterate(lambda rows: rows / 2 + 1, start, max_iter=50, tol=1e-3)
    torch.testing.assert_close(state, torch.full((2, 2), 2.0), atol=1e-2, rtol=0)
    assert states == [state] and bool((told["rel_lowest"] < 1e-3).all()) and 0 < float(told["nstep"][0]) < 50
    _, _, short = iterate(lambda rows: rows / 2 + 1, start, max_iter=3, tol=1e-3)
    assert short["nstep"].tolist() == [3.0, 3.0] and not bool((short["rel_lowest"] < 1e-3).any())


def test_too_few_steps_are_reported_as_not_converged() -> None:
    _, solved = core(deq_max_iter=1, deq_tol=1e-6).train().solve(torch.randn(2, 3, 16))
    assert not bool(solved.converged.any()) and solved.steps.tolist() == [1.0] * 6


def test_the_implicit_gradient_is_that_of_unrolling_to_the_end() -> None:
    settings = {"deq_max_iter": 200, "deq_tol": 1e-7, "deq_eval_max_iter": 200}
    drive = torch.randn(1, 4, 16)
    target = torch.randn(1, 4, 16)
    found = []
    for gradient in ("implicit", "unrolled"):
        solver = core(gradient="implicit", **settings).train()
        if gradient == "implicit":
            state, _ = solver.solve(drive)
        else:
            state = torch.zeros_like(drive)
            for _ in range(200):
                state = torch.tanh(state @ solver.contraction().T + drive)
        (state * target).sum().backward()
        assert solver.recurrent.grad is not None
        found.append(solver.recurrent.grad.clone())
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-3)


def test_a_position_sees_itself_and_the_tokens_just_before_it() -> None:
    solver = core()
    tokens = torch.randint(50, (1, 12))
    where = torch.arange(12)[None]
    before = solver.drive(tokens, where)
    changed = tokens.clone()
    changed[0, 5] = (changed[0, 5] + 1) % 50
    moved = (solver.drive(changed, where) - before).abs().sum(-1)[0] > 0
    assert moved.tolist() == [5 <= place < 9 for place in range(12)]
    torch.testing.assert_close(solver.drive(tokens, torch.tensor([[7, 2]])), before[:, [7, 2]])


@pytest.mark.parametrize("length", [1, 2, 7, 16])
def test_the_lane_solved_at_once_is_the_lane_solved_step_by_step(length: int) -> None:
    torch.manual_seed(0)
    lane, states = LiquidLane(8), torch.randn(2, length, 8)
    held, expected = torch.zeros(2, 8), []
    for step in range(length):
        keep = torch.exp(-1 / (1 + lane.time_constant(states[:, step]).exp()))
        held = keep * held + (1 - keep) * torch.tanh(lane.candidate(states[:, step]))
        expected.append(held)
    torch.testing.assert_close(lane(states), torch.stack(expected, 1))


@pytest.mark.parametrize("length", [2, 7, 16])
def test_both_ways_through_the_recurrence_give_the_same_states_and_gradients(length: int) -> None:
    keep, added = (torch.rand(2, length, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    one, other = recurrence(keep, added), _doubling(keep, added)
    torch.testing.assert_close(one, other)
    for mine, theirs in zip(
        torch.autograd.grad(one.sin().sum(), (keep, added)),
        torch.autograd.grad(other.sin().sum(), (keep, added)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)
