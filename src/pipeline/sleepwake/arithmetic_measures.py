"""Arithmetic on held-out expressions, with the steps written out and without, at equal compute.

figures = measure_arithmetic(config, seed=1, device="cpu", progress=progress)
"""

from __future__ import annotations

import time

from pipeline.config.sleepwake_parts import ArithmeticConfig
from pipeline.progress import Progress
from pipeline.sleepwake.arithmetic import Operation, Part, Problem
from pipeline.sleepwake.arithmetic_training import every_problem, solved, train_arithmetic
from pipeline.sleepwake.byte_model import ByteModel

NAMES: dict[Operation, str] = {"+": "addition", "-": "subtraction", "*": "multiplication", "/": "division"}


def measure_arithmetic(config: ArithmeticConfig, seed: int, device: str, progress: Progress) -> dict[str, float]:
    """Train with and without steps, at as many operations, and ask both all held-out problems of a level.

    Returns:
        For ``worked`` and ``direct``: ``<arm>.<type>``, the share of test problems of a type that are right;
        ``<arm>.accuracy``, the mean over types; ``<arm>.two_digits``, over problems whose operands both have two digits
        or more, which no step of another calculation can hold; ``<arm>.validation``, the mean over types of validation
        problems. ``gain`` is that of steps in accuracy, ``<type>.n`` the problems asked, ``flops`` what each training
        cost, ``seconds`` what the first one took.
    """
    figures: dict[str, float] = {}
    budget: int | None = None
    for arm, working in (("worked", True), ("direct", False)):
        progress.phase(f"arithmetic, {arm}", 100)
        shown = 0

        def told(way: float, loss: float) -> None:
            nonlocal shown
            progress.advance(int(100 * way) - shown)
            progress.note(f"loss {loss:.3f}")
            shown = int(100 * way)

        started = time.perf_counter()
        model, spent = train_arithmetic(config, seed, working, device, budget, told)
        if budget is None:
            budget, figures["flops"], figures["seconds"] = spent, float(spent), time.perf_counter() - started
        figures |= {f"{arm}.{name}": value for name, value in examined(model, config, working).items()}
    figures["gain"] = figures["worked.accuracy"] - figures["direct.accuracy"]
    return figures | {
        f"{NAMES[operation]}.n": float(len(asked(config, "test", operation))) for operation in config.operations
    }


def examined(model: ByteModel, config: ArithmeticConfig, working: bool) -> dict[str, float]:
    """Accuracy by type and over types, on validation and test problems."""
    found = dict[str, float]()
    right: dict[Problem, bool] = {}
    validation = list[float]()
    for operation in config.operations:
        problems = asked(config, "test", operation)
        right |= dict(zip(problems, solved(model, problems, working, config.model.context), strict=True))
        found[NAMES[operation]] = _share([right[problem] for problem in problems])
        others = asked(config, "validation", operation)
        validation.append(_share(solved(model, others, working, config.model.context)))
    found["accuracy"] = sum(found.values()) / len(found)
    found["two_digits"] = _share([value for one, value in right.items() if min(one.left, one.right) > 9])
    found["validation"] = sum(validation) / len(validation)
    return found


def asked(config: ArithmeticConfig, part: Part, operation: Operation) -> list[Problem]:
    """Held-out problems of an operation: all of them, or evenly spread ones if there are more than are asked."""
    problems = every_problem(config.asked, part, (operation,))
    return problems[:: -(-len(problems) // config.tested)]


def _share(values: list[bool]) -> float:
    return sum(values) / max(1, len(values))
