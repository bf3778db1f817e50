"""A byte model that learns arithmetic level by level, and its answers to held-out expressions.

model = train_arithmetic(config, seed, working=True, steps=config.steps, device="cpu")
right = solved(model, every_problem("basic", "test", ("+", "-")), working=True)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from pipeline.config.sleepwake_parts import ArithmeticConfig
from pipeline.errors import TrainingError
from pipeline.sleepwake.arithmetic import RANGES, Level, Operation, Part, Problem, part_of
from pipeline.sleepwake.byte_model import BEGIN, END, ByteModel
from pipeline.sleepwake.byte_training import byte_optimizer
from pipeline.sleepwake.worked_steps import answer_of, worked

_IGNORED = -100
_WARMUP = 50
_WEIGHT_DECAY = 0.01


def every_problem(level: Level, part: Part, operations: Sequence[Operation]) -> list[Problem]:
    """All problems of a level and a part, in order."""
    low, high = RANGES[level]
    numbers = range(low, high + 1)
    found = [
        Problem(left * right if operation == "/" else left, operation, right)
        for operation in operations
        for left in numbers
        for right in numbers
    ]
    return [problem for problem in found if part_of(problem.canonical) == part]


def response(problem: Problem, working: bool) -> str:
    """What a model should write behind a question."""
    return worked(problem) if working else problem.answer


def examples(problems: Sequence[Problem], working: bool) -> tuple[Tensor, Tensor]:
    """Token ids (B, L) of questions with responses and ``END``, and which of them the loss counts, bool (B, L).

    What stands behind ``END`` is zero; neither it nor questions count.
    """
    texts = [(one.question.encode(), response(one, working).encode()) for one in problems]
    length = max(len(question) + len(answer) + 1 for question, answer in texts)
    tokens = torch.zeros(len(texts), length, dtype=torch.long)
    counted = torch.zeros(len(texts), length, dtype=torch.bool)
    for row, (question, answer) in enumerate(texts):
        both = [*question, *answer, END]
        tokens[row, : len(both)] = torch.tensor(both)
        counted[row, len(question) : len(both)] = True
    return tokens, counted


def response_loss(model: ByteModel, tokens: Tensor, counted: Tensor) -> Tensor:
    """Nats a counted token, a scalar."""
    logits = model.of_bytes(tokens)
    targets = torch.where(counted, tokens, _IGNORED)
    return cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=_IGNORED)


def train_arithmetic(
    config: ArithmeticConfig,
    seed: int,
    working: bool,
    budget: int,
    device: str,
    told: Callable[[int, float], None] = lambda spent, loss: None,
) -> tuple[ByteModel, int]:
    """A model trained on the training part of every level, and its optimiser steps.

    Args:
        config: Sizes, levels and optimiser.
        seed: Of weights and batches.
        working: Whether steps are written out.
        budget: Tokens that are trained, padding included; by them the learning rate falls.
        device: Which trains.
        told: Called with the tokens trained so far and the loss of every step.

    Raises:
        TrainingError: A loss is not finite.
    """
    model = ByteModel(config.model, seed).to(device)
    optimizer, generator = byte_optimizer(model, config.lr, _WEIGHT_DECAY), torch.Generator().manual_seed(seed)
    pools = {
        (level, operation): every_problem(level, "train", (operation,))
        for level in config.levels
        for operation in config.operations
    }
    spent, step = 0, 0
    model.train()
    while spent < budget:
        way = spent / budget
        for group in optimizer.param_groups:
            group["lr"] = config.lr * min(1, (step + 1) / _WARMUP) * (1.05 + math.cos(math.pi * way)) / 2.05
        open_levels = (
            config.levels[: 1 + int(way / config.curriculum * len(config.levels))] if config.curriculum else ()
        )
        level, operation = (
            choices[int(torch.randint(len(choices), (1,), generator=generator))]
            for choices in (open_levels or config.levels, config.operations)
        )
        pool = pools[level, operation]  # type: ignore[index]
        rows = torch.randint(len(pool), (config.batch,), generator=generator).tolist()
        tokens, counted = (part.to(device) for part in examples([pool[row] for row in rows], working))
        loss = response_loss(model, tokens, counted)
        if not math.isfinite(loss.item()):
            raise TrainingError(f"step {step} of arithmetic: the loss is {loss.item()}; lower lr={config.lr}")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        spent, step = spent + tokens.numel(), step + 1
        told(spent, loss.item())
    return model.eval(), step


@torch.no_grad()
def continuations(model: nn.Module, questions: Sequence[str], most: int) -> list[str]:
    """What a model writes greedily behind every question, up to ``END``, which the text leaves out.

    Args:
        model: Token ids (B, L) to logits (B, L, V).
        questions: Of any lengths.
        most: Tokens at most.
    """
    written = [""] * len(questions)
    device = next(model.parameters()).device
    for length in sorted({len(question) for question in questions}):
        places = [place for place, question in enumerate(questions) if len(question) == length]
        asked = torch.tensor([[*questions[place].encode()] for place in places], device=device)
        tokens = pad(asked, (1, 0), value=BEGIN)
        over = torch.zeros(len(places), dtype=torch.bool, device=device)
        for _ in range(most):
            following = model(tokens)[:, -1].argmax(-1)
            tokens = torch.cat([tokens, following[:, None]], 1)
            over |= following == END
            if bool(over.all()):
                break
        for place, row in zip(places, tokens[:, 1 + length :].tolist(), strict=True):
            ended = row[: row.index(END)] if END in row else row
            written[place] = bytes(token for token in ended if token < 256).decode("latin-1")
    return written


def solved(model: nn.Module, problems: Sequence[Problem], working: bool, context: int) -> list[bool]:
    """Whether each problem's answer is right, greedily.

    Args:
        model: See `continuations`.
        problems: Held out.
        working: Whether steps stand before the answer.
        context: Tokens that the model sees at most.
    """
    found: list[bool] = []
    for operation in dict.fromkeys(problem.operation for problem in problems):  # alike ones are about as long
        group = [problem for problem in problems if problem.operation == operation]
        most = min(
            context - max(len(problem.question) for problem in group),
            4 + max(len(response(problem, working)) for problem in group),
        )
        texts = continuations(model, [problem.question for problem in group], most)
        found += [answer_of(text) == problem.answer for text, problem in zip(texts, group, strict=True)]
    return found
