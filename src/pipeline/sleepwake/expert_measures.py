"""Experts by singular values on the four operations: against the base, LoRA at equal parameters, and the right expert.

figures = measure_experts(config, seed=1, device="cpu", progress=progress)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.config.sleepwake_parts import ExpertsConfig
from pipeline.progress import Progress
from pipeline.sleepwake.arithmetic import OPERATIONS, Part, Problem
from pipeline.sleepwake.arithmetic_measures import NAMES
from pipeline.sleepwake.arithmetic_training import every_problem, examples, response_loss
from pipeline.sleepwake.byte_model import ByteModel
from pipeline.sleepwake.dispatch import dispatched, train_dispatcher, two_passes
from pipeline.sleepwake.experts import (
    AdaptedModel,
    accuracy,
    learned_parameters,
    low_rank,
    train_by_reward,
    train_supervised,
)
from pipeline.sleepwake.initial import scale_by_inputs
from pipeline.sleepwake.svf import SvdCache, decompose, full_products, identity_error

ARMS = ("base", "supervised", "reinforce", "lora", "longer")
_LONGEST = 6


def measure_experts(config: ExpertsConfig, seed: int, device: str, progress: Progress) -> dict[str, float]:
    """Train a base on all operations and freeze it; then experts, adapters and a dispatcher; ask test problems.

    Returns:
        ``identity_error`` and ``identity_logits``: largest difference of weights and of logits at scales of one;
        ``dispatch``: share of test questions whose operation is named; ``svd_seconds``, ``svd_hits``, ``svd_misses``;
        ``parameters`` of an expert and ``lora_parameters``; ``scale_change``, mean |z − 1|.
        For every operation and over all (``all``) the share of right test answers: ``<type>.base``, ``<type>.longer``
        (all weights of the base trained on for as many steps as an expert, on that operation: an upper line, not an
        adapter), ``<type>.supervised``, ``<type>.reinforce``, ``<type>.lora``, each by the right expert, and
        ``<type>.dispatched``, by the supervised expert that the dispatcher names; ``<type>.nats_…``: nats a token.
        ``gain`` is all.dispatched − all.base, ``oracle_gap`` all.supervised − all.dispatched.
    """
    families = [every_problem(config.level, "train", (operation,)) for operation in OPERATIONS]
    tests = [_asked(config, "test", [operation]) for operation in OPERATIONS]
    progress.phase("experts: base", config.base_steps)
    base = trained_base(config, families, seed, device, progress)
    cache = SvdCache()
    adapted = AdaptedModel(base, cache, config.svf)
    figures = identity(base, adapted, tests[0])
    figures |= {"parameters": float(learned_parameters(adapted)), "svd_seconds": cache.seconds}
    experts = list[Tensor]()
    progress.phase("experts", len(OPERATIONS) * (3 * config.steps + config.reinforce_steps))
    for operation, family, test in zip(OPERATIONS, families, tests, strict=True):
        found, scales = one_family(base, adapted, family, test, config, seed, progress)
        figures |= {f"{NAMES[operation]}.{name}": value for name, value in found.items()}
        experts.append(scales)
    figures["lora_parameters"] = float(learned_parameters(low_rank(base, seed)))
    again = AdaptedModel(base, cache, config.svf)  # the same checkpoint: answered from the cache
    figures |= {"svd_hits": float(cache.hits), "svd_misses": float(cache.misses)}
    figures["scale_change"] = float(torch.stack(experts).sub(1).abs().mean())
    figures |= _through_dispatch(base, again, experts, families, tests, config, seed)
    for arm in (*ARMS, "dispatched"):
        figures[f"all.{arm}"] = sum(figures[f"{name}.{arm}"] for name in NAMES.values()) / len(NAMES)
    figures["gain"] = figures["all.dispatched"] - figures["all.base"]
    figures["oracle_gap"] = figures["all.supervised"] - figures["all.dispatched"]
    return figures


def one_family(
    base: ByteModel,
    adapted: AdaptedModel,
    family: Sequence[Problem],
    test: Sequence[Problem],
    config: ExpertsConfig,
    seed: int,
    progress: Progress,
) -> tuple[dict[str, float], Tensor]:
    """Figures of every arm on the test problems of one operation, and the scales of its supervised expert."""
    step, steps, batch = progress.advance, config.steps, config.batch
    figures = _measured("base", base, test)
    adapted.use(None)
    train_supervised(adapted, family, steps, batch, config.lr, seed, step)
    scales = adapted.scales
    figures |= _measured("supervised", adapted, test)
    adapted.use(None)
    figures["reward"] = train_by_reward(adapted, base, family, config, seed, step)
    figures |= _measured("reinforce", adapted, test)
    adapter = low_rank(base, seed)
    train_supervised(adapter, family, steps, batch, config.lora_lr, seed, step)
    figures |= _measured("lora", adapter, test)
    longer = copy.deepcopy(base).requires_grad_(True)
    train_supervised(longer, family, steps, batch, config.base_lr, seed, step)
    return figures | _measured("longer", longer, test), scales


def trained_base(
    config: ExpertsConfig, families: Sequence[Sequence[Problem]], seed: int, device: str, progress: Progress
) -> ByteModel:
    """A byte model that learned all families at once for a while, frozen."""
    base = ByteModel(config.model, seed)
    scale_by_inputs(base, seed, smaller=("joined.weight", "down.weight"))
    problems = [problem for family in families for problem in family]
    train_supervised(base.to(device), problems, config.base_steps, config.batch, config.base_lr, seed, progress.advance)
    return base.requires_grad_(False).eval()


@torch.no_grad()
def identity(base: ByteModel, adapted: AdaptedModel, problems: Sequence[Problem]) -> dict[str, float]:
    """How far an adapted model with scales of one is from its base."""
    tokens = examples(problems, working=False)[0].to(base.embedding.weight.device)
    with full_products():
        apart = (adapted.of_bytes(tokens) - base.of_bytes(tokens)).abs().max()
    layers = [layer for layer in base.modules() if isinstance(layer, nn.Linear)]
    config = adapted.config
    errors = [identity_error(layer.weight, decompose(layer.weight), config) for layer in layers]
    return {"identity_error": max(errors), "identity_logits": float(apart)}


def _through_dispatch(
    base: ByteModel,
    adapted: AdaptedModel,
    experts: Sequence[Tensor],
    families: Sequence[Sequence[Problem]],
    tests: Sequence[Sequence[Problem]],
    config: ExpertsConfig,
    seed: int,
) -> dict[str, float]:
    dispatcher = train_dispatcher(base, families, config.dispatch_steps, seed)
    questions = [[problem.question for problem in test] for test in tests]
    named = [dispatched(dispatcher, base, asked) for asked in questions]
    right = sum(family == number for number, found in enumerate(named) for family in found)
    figures = {"dispatch": right / sum(map(len, questions))}
    for name, test, asked in zip(NAMES.values(), tests, questions, strict=True):
        answers = two_passes(dispatcher, base, adapted, experts, asked, _LONGEST)
        correct = sum(text == problem.answer for text, problem in zip(answers, test, strict=True))
        figures[f"{name}.dispatched"] = correct / len(test)
    return figures


@torch.no_grad()
def _measured(arm: str, model: nn.Module, test: Sequence[Problem]) -> dict[str, float]:
    tokens, counted = (part.to(next(model.parameters()).device) for part in examples(test, working=False))
    nats = response_loss(model, tokens, counted)  # type: ignore[arg-type]
    return {arm: accuracy(model, test), f"nats_{arm}": float(nats)}


def _asked(config: ExpertsConfig, part: Part, operations: Sequence[str]) -> list[Problem]:
    problems = every_problem(config.level, part, operations)  # type: ignore[arg-type]
    return problems[:: -(-len(problems) // config.tested)]
