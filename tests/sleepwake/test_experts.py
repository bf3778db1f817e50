"""Identity at one, a frozen base, a cache that a changed base empties, and losses against their definition."""

from __future__ import annotations

import pytest
import torch

from pipeline.config.sleepwake import ByteModelConfig, SvfConfig
from pipeline.config.sleepwake_parts import ExpertsConfig
from pipeline.progress import Silent
from pipeline.sleepwake.arithmetic import Problem
from pipeline.sleepwake.arithmetic_training import every_problem, examples, response_loss
from pipeline.sleepwake.byte_model import BEGIN, END, ByteModel
from pipeline.sleepwake.dispatch import dispatched, train_dispatcher, two_passes
from pipeline.sleepwake.expert_measures import measure_experts
from pipeline.sleepwake.experts import (
    AdaptedModel,
    accuracy,
    advantages,
    learned_parameters,
    low_rank,
    reinforce_loss,
    sampled,
    train_by_reward,
    train_supervised,
)
from pipeline.sleepwake.initial import scale_by_inputs
from pipeline.sleepwake.svf import SvdCache

SIZES = ByteModelConfig(width=16, layers=1, heads=1, hidden=32, context=32)
TINY = ExpertsConfig(
    model=SIZES, base_steps=30, steps=10, batch=16, reinforce_steps=4, samples=2, dispatch_steps=60, tested=12
)
SVF = SvfConfig()


def base(seed: int = 0) -> ByteModel:
    return ByteModel(SIZES, seed).requires_grad_(False).eval()


def additions() -> list[Problem]:
    return every_problem("basic", "train", ("+",))


@pytest.fixture(scope="module")
def taught() -> ByteModel:
    """A base that subtracts and adds a little, so that there is something to scale."""
    one = ByteModel(SIZES, 0)
    scale_by_inputs(one, 0, smaller=("joined.weight", "down.weight"))
    train_supervised(one, every_problem("basic", "train", ("+", "-")), 150, 32, 1e-2, seed=0)
    return one.requires_grad_(False).eval()


@pytest.mark.parametrize("keep_sum", [True, False])
def test_with_scales_of_one_it_is_the_base(keep_sum: bool) -> None:
    one, tokens = base(), torch.randint(256, (3, 12), generator=torch.Generator().manual_seed(0))
    adapted = AdaptedModel(one, SvdCache(), SvfConfig(keep_sum=keep_sum))
    with torch.no_grad():
        torch.testing.assert_close(adapted(tokens), one(tokens), atol=1e-5, rtol=1e-5)
        other = torch.linspace(0.5, 1.5, len(adapted.scales))
        adapted.use(other)
        assert torch.equal(adapted.scales, other)
        assert not torch.allclose(adapted(tokens), one(tokens), atol=1e-3)
        adapted.use(None)
        torch.testing.assert_close(adapted(tokens), one(tokens), atol=1e-5, rtol=1e-5)


def test_a_base_that_changed_is_decomposed_anew() -> None:
    one, cache = base(), SvdCache()
    layers = len(AdaptedModel(one, cache, SVF).layers)
    AdaptedModel(one, cache, SVF)
    assert (cache.misses, cache.hits, len(cache)) == (layers, layers, layers)
    with torch.no_grad():
        one.blocks[0].up.weight[0, 0] += 0.1  # a sleep
    fresh = AdaptedModel(one, cache, SVF)
    assert (cache.misses, len(cache)) == (2 * layers, layers)
    tokens = torch.arange(8)[None]
    with torch.no_grad():
        torch.testing.assert_close(fresh(tokens), one(tokens), atol=1e-5, rtol=1e-5)


def test_adapters_learn_as_many_numbers_and_nothing_else() -> None:
    one = base()
    adapted, adapter = AdaptedModel(one, SvdCache(), SVF), low_rank(one, 0)
    assert learned_parameters(adapted) == learned_parameters(adapter) == 4 * SIZES.width * SIZES.layers
    assert learned_parameters(one) == 0
    tokens = torch.arange(8)[None]
    with torch.no_grad():
        torch.testing.assert_close(adapter(tokens), one(tokens))  # B begins at zero


@pytest.mark.parametrize("kind", ["scales", "lora"])
def test_an_adapter_lowers_the_loss_and_leaves_the_base(kind: str, taught: ByteModel) -> None:
    one = taught
    before = {name: value.clone() for name, value in one.state_dict().items()}
    model = AdaptedModel(one, SvdCache(), SVF) if kind == "scales" else low_rank(one, 0)
    tokens, counted = examples(additions(), working=False)
    with torch.no_grad():
        untrained = float(response_loss(model, tokens, counted))  # type: ignore[arg-type]
    train_supervised(model, additions(), 60, 32, 0.03, seed=0)
    with torch.no_grad():
        assert float(response_loss(model, tokens, counted)) < untrained - 0.01  # type: ignore[arg-type]
    assert all(torch.equal(value, before[name]) for name, value in one.state_dict().items())


def test_advantages_leave_the_sample_itself_out() -> None:
    rewards = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    torch.testing.assert_close(advantages(rewards, 3), torch.tensor([1.0, -0.5, -0.5, 0.0, 0.0, 0.0]))


def test_samples_end_and_stay_ended() -> None:
    adapted = AdaptedModel(base(), SvdCache(), SVF)
    prompts = torch.tensor([[BEGIN, *b"3+4="]]).expand(64, -1)
    tokens = sampled(adapted, prompts, torch.Generator().manual_seed(0))
    assert tokens.shape == (64, 11) and torch.equal(tokens[:, :5], prompts)
    for row in tokens[:, 5:].tolist():
        if END in row:
            assert set(row[row.index(END) :]) == {END}


def test_the_reward_loss_is_its_definition() -> None:
    one = base()
    adapted = AdaptedModel(one, SvdCache(), SVF)
    adapted.use(torch.linspace(0.8, 1.2, len(adapted.scales)))
    tokens = torch.tensor([[BEGIN, *b"3+4=", ord("7"), END, END], [BEGIN, *b"3+9=", ord("1"), ord("2"), END]])
    advantage = torch.tensor([0.7, -0.4])
    with torch.no_grad():
        shares, before = (model(tokens[:, :-1]).log_softmax(-1) for model in (adapted, one))
        policy, divergence, count = 0.0, 0.0, 0
        for row, length in ((0, 2), (1, 3)):
            for place in range(4, 4 + length):
                policy -= float(advantage[row] * shares[row, place, tokens[row, place + 1]]) / 2
                divergence += float((shares[row, place].exp() * (shares[row, place] - before[row, place])).sum())
                count += 1
        loss = float(reinforce_loss(adapted, one, tokens, 5, advantage, 0.3))
    assert loss == pytest.approx(policy + 0.3 * divergence / count, rel=1e-4)


def test_reward_moves_the_scales(taught: ByteModel) -> None:
    one = base()
    adapted = AdaptedModel(one, SvdCache(), SVF)
    reward = train_by_reward(adapted, one, additions(), TINY, seed=0)
    assert 0 <= reward <= 1
    # rewards of an untrained base are all zero: the divergence alone is left, whose gradient at the base is zero
    torch.testing.assert_close(adapted.scales, torch.ones_like(adapted.scales), atol=0.1, rtol=0)
    scored = AdaptedModel(taught, SvdCache(), SVF)
    config = TINY.model_copy(update={"reinforce_steps": 40, "batch": 128, "samples": 8, "kl": 0.0})
    few = additions()[:3]
    after = train_by_reward(scored, taught, few, config, 0)
    assert float((scored.scales - 1).abs().max()) > 0.01
    still = config.model_copy(update={"lr": 1e-9})
    assert after > train_by_reward(AdaptedModel(taught, SvdCache(), SVF), taught, few, still, 0) + 0.05


def test_dispatch_and_two_passes() -> None:
    one = base()
    families = [every_problem("basic", "train", (operation,)) for operation in "+-*/"]  # type: ignore[list-item]
    dispatcher = train_dispatcher(one, families, 150, seed=0)
    tests = [every_problem("basic", "test", (operation,)) for operation in "+-*/"]  # type: ignore[list-item]
    named = [dispatched(dispatcher, one, [problem.question for problem in test]) for test in tests]
    assert sum(found == k for k, row in enumerate(named) for found in row) >= 0.95 * sum(map(len, named))
    adapted = AdaptedModel(one, SvdCache(), SVF)
    experts = [torch.full_like(adapted.scales, 1 + k / 4) for k in range(4)]
    experts[2] = torch.linspace(0, 3, len(adapted.scales))
    questions = [tests[0][0].question, tests[2][0].question, tests[0][1].question]
    answers = two_passes(dispatcher, one, adapted, experts, questions, 4)
    for question, answer, family in zip(questions, answers, dispatched(dispatcher, one, questions), strict=True):
        adapted.use(experts[family])
        assert two_passes(dispatcher, one, adapted, [experts[family]] * 4, [question], 4) == [answer]
    assert torch.equal(adapted.scales, torch.ones_like(adapted.scales))


def test_every_figure_is_measured() -> None:
    found = measure_experts(TINY, seed=0, device="cpu", progress=Silent())
    arms = {"base", "supervised", "reinforce", "lora", "longer", "dispatched"}
    assert {f"{name}.{arm}" for name in ("addition", "division", "all") for arm in arms} <= set(found)
    assert found["identity_error"] < 1e-5 and found["identity_logits"] < 1e-4
    assert found["parameters"] == found["lora_parameters"] == 64
    assert (found["svd_misses"], found["svd_hits"]) == (4, 4)
    assert found["gain"] == pytest.approx(found["all.dispatched"] - found["all.base"])
    assert accuracy(base(), additions()[:5]) == 0
