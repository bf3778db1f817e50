"""Two passes: the base reads the question and says whose it is, then that expert answers.

Sun et al. 2025, arXiv:2501.06252, section 3.3, the variant with a classifier.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pipeline.sleepwake.arithmetic import Problem
from pipeline.sleepwake.arithmetic_training import continuations
from pipeline.sleepwake.byte_model import BEGIN, ByteModel
from pipeline.sleepwake.experts import AdaptedModel

_LR = 0.02


class Dispatcher(nn.Module):
    """Logits of families from the mean state of a question.

    Args:
        width: Of the states.
        families: How many.
        seed: Of the initial weights.
    """

    def __init__(self, width: int, families: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, families)

    def forward(self, states: Tensor) -> Tensor:
        """Logits (B, K) of mean states (B, W)."""
        logits: Tensor = self.out(self.norm(states))
        return logits


@torch.no_grad()
def question_states(base: ByteModel, questions: Sequence[str]) -> Tensor:
    """Mean states (N, W) of questions of any lengths in the frozen base."""
    device = base.embedding.weight.device
    states = torch.zeros(len(questions), base.config.width, device=device)
    for length in sorted({len(question) for question in questions}):
        places = [place for place, question in enumerate(questions) if len(question) == length]
        tokens = torch.tensor([[BEGIN, *questions[place].encode()] for place in places], device=device)
        states[places] = base.hidden(tokens).mean(1)
    return states


def train_dispatcher(
    base: ByteModel, families: Sequence[Sequence[Problem]], steps: int, seed: int, batch: int = 64
) -> Dispatcher:
    """A dispatcher that tells families of training problems apart."""
    device = base.embedding.weight.device
    dispatcher = Dispatcher(base.config.width, len(families), seed).to(device)
    states = [question_states(base, [problem.question for problem in family]) for family in families]
    inputs, labels = torch.cat(states), torch.cat([torch.full((len(part),), k) for k, part in enumerate(states)])
    optimizer = torch.optim.AdamW(dispatcher.parameters(), lr=_LR, weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(len(inputs), (batch,), generator=generator)
        loss = cross_entropy(dispatcher(inputs[rows.to(device)]), labels[rows].to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return dispatcher.eval()


@torch.no_grad()
def dispatched(dispatcher: Dispatcher, base: ByteModel, questions: Sequence[str]) -> list[int]:
    """The family of every question: the first pass."""
    found: list[int] = dispatcher(question_states(base, questions)).argmax(-1).tolist()
    return found


def two_passes(
    dispatcher: Dispatcher,
    base: ByteModel,
    adapted: AdaptedModel,
    experts: Sequence[Tensor],
    questions: Sequence[str],
    most: int,
) -> list[str]:
    """Answers of the experts that the dispatcher names.

    Args:
        dispatcher: Names one of the experts.
        base: Which reads the questions.
        adapted: Which takes the experts' scales; it is the base again afterwards.
        experts: Scales of each, (Z,).
        questions: Of any families.
        most: Tokens of an answer at most.
    """
    families, answers = dispatched(dispatcher, base, questions), [""] * len(questions)
    for family in sorted(set(families)):
        places = [place for place, named in enumerate(families) if named == family]
        adapted.use(experts[family])
        for place, text in zip(places, continuations(adapted, [questions[p] for p in places], most), strict=True):
            answers[place] = text
    adapted.use(None)
    return answers
