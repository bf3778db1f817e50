"""A byte model that learns arithmetic from expressions of all sizes, and its answers to held-out ones.

model, flops = train_arithmetic(config, seed, working=True, device="cpu")
right = solved(model, every_problem("basic", "test", ("+",)), working=True, context=config.model.context)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from pipeline.config.sleepwake_parts import ArithmeticConfig
from pipeline.errors import DataError, TrainingError
from pipeline.sleepwake.arithmetic import RANGES, Level, Operation, Part, Problem, part_of
from pipeline.sleepwake.byte_model import BEGIN, END, VOCABULARY, ByteModel
from pipeline.sleepwake.byte_training import byte_optimizer
from pipeline.sleepwake.flops import TRAINING, transformer_flops
from pipeline.sleepwake.initial import scale_by_inputs
from pipeline.sleepwake.worked_steps import answer_of, worked

_IGNORED = -100
_WARMUP = 50


def every_problem(level: Level, part: Part, operations: Sequence[Operation]) -> list[Problem]:
    """All problems of a level and a part, in order."""
    low, high = RANGES[level]
    return problems_within(range(low, high + 1), part, operations)


def problems_within(numbers: range, part: Part, operations: Sequence[Operation]) -> list[Problem]:
    """All problems of a part whose operands, or divisor and quotient, are among some numbers, in order."""
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
    device: str,
    budget: int | None = None,
    told: Callable[[float, float], None] = lambda way, loss: None,
) -> tuple[ByteModel, int]:
    """A model trained on the training part, and the operations that took, see `flops`.

    Expressions are drawn by how many digits their operands have and which is the larger, each such group by the square
    root of its size: else one in a hundred would have two operands of one digit, or two equal ones.

    Args:
        config: Sizes, range and optimiser.
        seed: Of weights and batches.
        working: Whether steps are written out.
        device: Which trains.
        budget: Operations after which training ends; batches are larger, so that it takes about as many steps. None is
            ``config.steps`` steps.
        told: Called with the share that is done and the loss of every step.

    Raises:
        DataError: A response is longer than the model's context.
        TrainingError: A loss is not finite.
    """
    pools = {operation: by_digits(config, operation) for operation in config.operations}
    longest = _longest(pools, working, config.model.context)
    rows = config.batch
    if budget is not None:
        rows = max(rows, budget // (config.steps * TRAINING * transformer_flops(config.model, longest, VOCABULARY)))
    model = ByteModel(config.model, seed)
    scale_by_inputs(model, seed, smaller=("joined.weight", "down.weight"))
    model.to(device).train()
    optimizer, generator = byte_optimizer(model, config.lr, config.weight_decay), torch.Generator().manual_seed(seed)
    spent, step, way = 0, 0, 0.0
    while way < 1:
        for group in optimizer.param_groups:
            group["lr"] = config.lr * min(1, (step + 1) / _WARMUP) * (1.05 + math.cos(math.pi * way)) / 2.05
        groups = pools[config.operations[int(torch.randint(len(pools), (1,), generator=generator))]]
        tokens, counted = (part.to(device) for part in examples(_drawn(groups, rows, generator), working))
        loss = response_loss(model, tokens, counted)
        if not math.isfinite(loss.item()):
            raise TrainingError(f"step {step} of arithmetic: the loss is {loss.item()}; lower lr={config.lr}")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        spent += TRAINING * rows * transformer_flops(config.model, tokens.shape[1], VOCABULARY)
        way = step / config.steps if budget is None else spent / budget
        told(way, loss.item())
    return model.eval(), spent


def _longest(pools: Mapping[Operation, Sequence[Sequence[Problem]]], working: bool, context: int) -> int:
    """Bytes of the longest question with its response and ``END``."""
    lengths = {
        operation: max(len(one.question) + len(response(one, working)) + 1 for group in groups for one in group)
        for operation, groups in pools.items()
    }
    for operation, longest in lengths.items():
        if longest > context:
            raise DataError(f"responses of {operation!r} take up to {longest} bytes: raise context={context}")
    return max(lengths.values())


def by_digits(config: ArithmeticConfig, operation: Operation) -> list[list[Problem]]:
    """The training problems of an operation, grouped by how many digits the operands have and which is the larger."""
    largest = config.table if operation in "*/" else config.largest
    groups: dict[tuple[int, int, int], list[Problem]] = {}
    for problem in problems_within(range(1, largest + 1), "train", (operation,)):
        order = (problem.left > problem.right) - (problem.left < problem.right)
        groups.setdefault((len(str(problem.left)), len(str(problem.right)), order), []).append(problem)
    return list(groups.values())


def _drawn(groups: Sequence[Sequence[Problem]], count: int, generator: torch.Generator) -> list[Problem]:
    """Problems of groups that are drawn by the square root of their size."""
    weights = torch.tensor([len(group) ** 0.5 for group in groups])
    chosen = torch.multinomial(weights, count, replacement=True, generator=generator).tolist()
    return [groups[k][int(torch.randint(len(groups[k]), (1,), generator=generator))] for k in chosen]


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
        problems: Held out; quickest if all are of one operation, since the longest decides for all.
        working: Whether steps stand before the answer.
        context: Tokens that the model sees at most.
    """
    most = min(
        context - max(len(problem.question) for problem in problems),
        4 + max(len(response(problem, working)) for problem in problems),
    )
    texts = continuations(model, [problem.question for problem in problems], most)
    return [answer_of(text) == problem.answer for text, problem in zip(texts, problems, strict=True)]
