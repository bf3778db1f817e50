"""The course of one training in ``engram bench sleep``: its clock, its examinations, and the products it computes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from pipeline.config.benchmarks import SleepBenchConfig
    from pipeline.language.models import LanguageModel
    from pipeline.language.rows import TrainingRow


@dataclass(frozen=True)
class Course:
    """What became of one training.

    Attributes:
        prepared: Seconds before the first step that belong to the training.
        seconds: Of the timed steps.
        steps: All steps; the first is not timed.
        products: Floating-point operations of matrix products in the first step.
        examinations: (timed steps, seconds with preparation, EM) in their order.
        gpu_bytes: Highest allocation on the GPU; 0 on a CPU.
    """

    prepared: float
    seconds: float
    steps: int
    products: int
    examinations: tuple[tuple[int, float, float], ...]
    gpu_bytes: int

    def reached(self, quality: float) -> tuple[int, float] | None:
        """Steps and seconds to the first examination of at least that EM; None if there was none."""
        return next(((steps, at) for steps, at, em in self.examinations if em >= quality), None)


class Stopwatch:
    """Times the steps of a training, and stops while the trained questions are asked.

    The first step is not timed: it warms up, and its products are counted.

    Args:
        examine: Gives the EM of the model as it stands.
        every: Steps between examinations.
        quality: EM at which the training ends.
        device: Where the model is; a GPU is waited for.
        pause: Called after an examination; lets others go on meanwhile.
    """

    def __init__(
        self, examine: Callable[[], float], every: int, quality: float, device: torch.device, pause: Callable[[], None]
    ) -> None:
        from torch.utils.flop_counter import FlopCounterMode

        self._examine, self._every, self._quality, self._device = examine, every, quality, device
        self._pause = pause
        self._counter: Any = FlopCounterMode(display=False)
        self._counting = ExitStack()
        self._since = 0.0
        self._steps, self._products, self._seconds, self._prepared = 0, 0, 0.0, 0.0
        self._examinations: list[tuple[int, float, float]] = []

    def begin(self, prepared: float = 0.0) -> None:
        """Right before the first step; ``prepared`` seconds of the training lie behind."""
        self._prepared = prepared
        self._counting.enter_context(self._counter)

    def step(self) -> bool:
        """Right after a step; True once the training may end."""
        self._steps += 1
        if self._steps == 1:
            self._counting.close()
            self._products = int(self._counter.get_total_flops())
            self._since = self._now()
            return False
        timed = self._steps - 1
        if timed % self._every:
            return False
        self._seconds += self._now() - self._since
        em = self._examine()
        self._examinations.append((timed, self._prepared + self._seconds, em))
        if em >= self._quality:
            return True
        self._pause()
        self._since = self._now()
        return False

    def course(self) -> Course:
        """What has been measured, up to the last examination."""
        import torch

        timed = self._examinations[-1][0] if self._examinations else 0
        used = torch.cuda.max_memory_allocated() if self._device.type == "cuda" else 0
        return Course(self._prepared, self._seconds, timed, self._products, tuple(self._examinations), used)

    def _now(self) -> float:
        import torch

        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def examiner(lm: LanguageModel, rows: Sequence[TrainingRow], config: SleepBenchConfig) -> Callable[[], float]:
    """Asks trained questions, spread evenly over the rows, and returns their EM by free greedy generation."""
    from pipeline.evaluation.scoring import exact_match
    from pipeline.language.generation import generate

    count = min(config.questions, len(rows))
    asked = [rows[i * len(rows) // count] for i in range(count)]
    golds = [row.target.removesuffix(lm.tokenizer.eos_token) for row in asked]

    def examine() -> float:
        training = lm.model.training
        lm.model.eval()
        answers = generate(lm, [row.prompt for row in asked], max_new_tokens=config.max_new_tokens)
        lm.model.train(training)
        return sum(exact_match(a.text, gold) for a, gold in zip(answers, golds, strict=True)) / count

    return examine
