"""One run of one learner over one stream, and what follows from its accuracies."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.config.continual import LearnerConfig
from pipeline.continual.learner import DivergedError, Learner, new_learner
from pipeline.continual.stream import Labelled, Stream


@dataclass(frozen=True)
class Outcome:
    """What a run measured.

    Attributes:
        after: Accuracy, 0 to 1, after each task on every task seen so far, in the order of the stream; 0 once a
            learner has diverged.
        steps: Steps of the optimiser, sleep included.
        memory: Bytes kept between tasks beyond one network, by kind.
        seconds: Of learning alone.
    """

    after: list[list[float]]
    steps: int
    memory: dict[str, int]
    seconds: float

    @property
    def accuracy(self) -> float:
        """Mean over tasks at the end: what the papers call average accuracy."""
        return float(np.mean(self.after[-1]))

    @property
    def forgetting(self) -> float:
        """Mean over all tasks but the last of the best earlier accuracy minus the last one (Chaudhry et al. 2018)."""
        last = self.after[-1]
        earlier = [[row[task] for row in self.after[task:-1]] for task in range(len(last) - 1)]
        return float(np.mean([max(seen) - now for seen, now in zip(earlier, last, strict=False)])) if earlier else 0.0


def run(config: LearnerConfig, stream: Stream, seed: int) -> Outcome:
    """Learn the tasks in their order, each once.

    Args:
        config: The learner.
        stream: What it sees and is judged by.
        seed: Of weights, buffer and replay.
    """
    learner = new_learner(config, stream.outputs, seed)
    after: list[list[float]] = []
    seconds = 0.0
    for number, task in enumerate(stream.train):
        start = time.perf_counter()
        try:
            learner.learn(task)
        except DivergedError:
            after += [[0.0] * (later + 1) for later in range(number, len(stream.train))]
            break
        seconds += time.perf_counter() - start
        after.append([accuracy(learner, judged) for judged in stream.judged[: number + 1]])
    return Outcome(after, learner.steps, learner.memory(), seconds)


def accuracy(learner: Learner, judged: Labelled) -> float:
    """Share of images whose largest logit among all outputs is the right one."""
    with torch.no_grad():
        answers = learner.logits(judged.images.float() / 255).argmax(1)
    return float((answers == judged.labels).float().mean())
