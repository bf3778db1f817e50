"""The associative memory against a plain loop over autograd; sequences apart; later positions unseen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.config.sleepwake import TitansConfig
from pipeline.sleepwake.titans import Gates, MemoryState, Recalled, associative_gradient, initial_gates, learn
from pipeline.sleepwake.titans_library import learn_by_library

B, L, D = 3, 11, 6


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gates(momentum: float | None = None, step: float | None = None, forget: float | None = None) -> Gates:
    drawn = random(3, B, L, seed=9).sigmoid()
    fixed = (momentum, step, forget)
    chosen = [part if value is None else torch.full_like(part, value) for part, value in zip(drawn, fixed, strict=True)]
    return Gates(*chosen)


def read(inputs: Tensor, state: MemoryState | None = None, chunk: int = 4, shift: Tensor | None = None) -> Recalled:
    """Keys, values, queries and gates that are functions of inputs (B, L, D), read into a memory."""
    weights = random(D, 3 * D + 3, seed=7) if shift is None else random(D, 3 * D + 3, seed=7) + shift
    keys, values, queries, given = (inputs @ weights).split([D, D, D, 3], -1)
    told = Gates(*given.sigmoid().unbind(-1))
    return learn(normalize(keys, dim=-1), values, normalize(queries, dim=-1), told, chunk, state)


def by_hand(keys: Tensor, values: Tensor, queries: Tensor, given: Gates, chunk: int) -> Recalled:
    """One sequence, one position after another, the gradient by autograd."""
    reads, norms, states = list[Tensor](), list[Tensor](), list[Tensor]()
    for row in range(B):
        weights, momentum = torch.zeros(D, D, dtype=torch.float64), torch.zeros(D, D, dtype=torch.float64)
        for position in range(L):
            if position % chunk == 0:
                at_start = weights.clone().requires_grad_()
            loss = (at_start @ keys[row, position] - values[row, position]).square().sum()
            (gradient,) = torch.autograd.grad(loss, at_start)
            momentum = given.momentum[row, position] * momentum - given.step[row, position] * gradient
            weights = (1 - given.forget[row, position]) * weights + momentum
            reads.append(weights @ queries[row, position])
            norms.append(gradient.norm())
        states += [weights, momentum]
    stacked = torch.stack(states).view(B, 2, D, D)
    return Recalled(
        torch.stack(reads).view(B, L, D), torch.stack(norms).view(B, L), MemoryState(stacked[:, 0], stacked[:, 1])
    )


@pytest.mark.parametrize("chunk", [1, 4, 11, 64])
def test_reads_surprise_and_state_are_those_of_a_plain_loop(chunk: int) -> None:
    keys, values, queries = (random(B, L, D, seed=seed) for seed in range(3))
    found, expected = (do(keys, values, queries, gates(), chunk) for do in (learn, by_hand))
    torch.testing.assert_close(found.reads, expected.reads)
    torch.testing.assert_close(found.surprise, expected.surprise)
    torch.testing.assert_close(found.state.weights, expected.state.weights)
    torch.testing.assert_close(found.state.momentum, expected.state.momentum)


@pytest.mark.parametrize("chunk", [1, 4, 11, 64])
def test_exact_gradients_are_those_of_the_recurrence_whatever_the_chunk(chunk: int) -> None:
    keys, values, queries = (random(B, L, D, seed=seed) / 2 for seed in range(3))
    found = learn(keys, values, queries, gates(), chunk, exact=True)
    expected = by_hand(keys, values, queries, gates(), 1)
    torch.testing.assert_close(found.reads, expected.reads)
    torch.testing.assert_close(found.surprise, expected.surprise)
    torch.testing.assert_close(found.state.weights, expected.state.weights)
    torch.testing.assert_close(found.state.momentum, expected.state.momentum)


@pytest.mark.parametrize("chunk", [1, 4, 64])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_titans_pytorch_computes_the_same_and_learns_the_same_from_it(chunk: int, exact: bool, begun: bool) -> None:
    state = MemoryState(random(B, D, D, seed=3), random(B, D, D, seed=4)) if begun else None
    found, slopes = list[Recalled](), list[tuple[Tensor, ...]]()
    for do in (learn, learn_by_library):
        given = [(random(B, L, D, seed=seed) / 2).requires_grad_() for seed in range(3)]
        told = gates()
        shares = [part.clone().requires_grad_() for part in (told.momentum, told.step, told.forget)]
        found.append(do(given[0], given[1], given[2], Gates(*shares), chunk, state, exact))
        slopes.append(torch.autograd.grad(found[-1].reads.square().sum(), [*given, *shares]))
    ours, theirs = found
    torch.testing.assert_close(ours.reads, theirs.reads)
    torch.testing.assert_close(ours.surprise, theirs.surprise)
    torch.testing.assert_close(ours.state.weights, theirs.state.weights)
    torch.testing.assert_close(ours.state.momentum, theirs.state.momentum)
    torch.testing.assert_close(*slopes)


def test_the_gradient_is_that_of_the_associative_loss() -> None:
    weights, keys, values = random(B, D, D).requires_grad_(), random(B, L, D, seed=1), random(B, L, D, seed=2)
    losses = (keys @ weights.transpose(1, 2) - values).square().sum()
    (expected,) = torch.autograd.grad(losses, weights)
    torch.testing.assert_close(associative_gradient(weights, keys, values).sum(1), expected)


def test_a_chunk_of_one_that_neither_forgets_nor_coasts_is_the_delta_rule() -> None:
    keys, values = normalize(random(B, L, D), dim=-1), random(B, L, D, seed=1)
    keys[:, 5] = keys[:, 2]
    found = learn(keys, values, keys, gates(momentum=0.0, step=0.5, forget=0.0), chunk=1)
    torch.testing.assert_close(found.reads, values)  # a step of 1/2 sets the value of a key of norm 1 at once
    kept = (found.state.weights @ keys[:, -1, :, None])[..., 0]
    torch.testing.assert_close(kept, values[:, -1])


def test_forgetting_and_momentum_move_the_memory_as_they_say() -> None:
    keys, values = normalize(random(B, L, D), dim=-1), random(B, L, D, seed=1)
    start = MemoryState(random(B, D, D, seed=3), random(B, D, D, seed=4))
    still = learn(keys, values, keys, gates(momentum=0.0, step=0.0, forget=0.1), 4, start)
    torch.testing.assert_close(still.state.weights, start.weights * 0.9**L)
    coasting = learn(keys, values, keys, gates(momentum=0.5, step=0.0, forget=0.0), 4, start)
    torch.testing.assert_close(coasting.state.weights, start.weights + start.momentum * (1 - 0.5**L))


def test_a_sequence_leaves_the_others_of_its_batch_alone() -> None:
    inputs = random(B, L, D)
    other = inputs.clone()
    other[1] = random(L, D, seed=5) * 100
    before, after = read(inputs), read(other)
    for row in (0, 2):
        assert torch.equal(before.reads[row], after.reads[row])
        assert torch.equal(before.surprise[row], after.surprise[row])
        assert torch.equal(before.state.weights[row], after.state.weights[row])
    assert not torch.equal(before.reads[1], after.reads[1])
    assert torch.equal(read(inputs).reads, before.reads)  # nor does a call leave anything for the next
    torch.testing.assert_close(read(inputs[:1]).reads, before.reads[:1])


@pytest.mark.parametrize("chunk", [1, 4])
def test_a_position_changes_nothing_before_it(chunk: int) -> None:
    inputs = random(B, L, D)
    other = inputs.clone()
    other[:, 6] += 1
    before, after = read(inputs, chunk=chunk), read(other, chunk=chunk)
    assert torch.equal(before.reads[:, :6], after.reads[:, :6])
    assert torch.equal(before.surprise[:, :6], after.surprise[:, :6])
    assert ((before.reads - after.reads).abs().amax(-1)[:, 6:] > 0).all()


def test_a_state_that_is_handed_on_continues_the_sequence() -> None:
    inputs = random(B, 12, D)
    whole, first = read(inputs), read(inputs[:, :8])
    second = read(inputs[:, 8:], first.state)
    torch.testing.assert_close(torch.cat([first.reads, second.reads], 1), whole.reads)
    torch.testing.assert_close(second.state.weights, whole.state.weights)


def test_keys_values_queries_and_gates_learn_by_what_is_read() -> None:
    shift = torch.zeros(D, 3 * D + 3, dtype=torch.float64, requires_grad=True)
    recalled = read(random(B, L, D), shift=shift)
    (slopes,) = torch.autograd.grad(recalled.reads.square().sum(), shift)
    assert (slopes.abs().sum(0) > 0).all()
    assert not recalled.surprise.requires_grad


def test_gates_begin_where_the_configuration_says() -> None:
    gates = torch.nn.Linear(8, 3)
    initial_gates(gates, TitansConfig(momentum=0.8, step=0.2, forget=0.03))
    torch.testing.assert_close(gates(random(1, 8).float()).sigmoid()[0], torch.tensor([0.8, 0.2, 0.03]))


def test_what_repeats_surprises_less() -> None:
    keys, values = normalize(random(B, 1, D), dim=-1), random(B, 1, D, seed=1)
    found = learn(keys.expand(B, L, D), values.expand(B, L, D), keys.expand(B, L, D), gates(0.0, 0.2, 0.0), chunk=1)
    assert (found.surprise.diff(dim=1) < 0).all()
    assert (found.surprise[:, -1] < 0.02 * found.surprise[:, 0]).all()
