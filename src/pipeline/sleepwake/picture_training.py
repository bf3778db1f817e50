"""Training of models that answer walks with pictures, without them, and of the decision between the two."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from pipeline.config.sleepwake_parts import PicturesConfig
from pipeline.errors import TrainingError
from pipeline.sleepwake.byte_model import VOCABULARY
from pipeline.sleepwake.byte_training import byte_optimizer
from pipeline.sleepwake.discrepancy import token_discrepancy
from pipeline.sleepwake.flops import TRAINING, transformer_flops
from pipeline.sleepwake.maze import OUTCOMES
from pipeline.sleepwake.picture_model import CELLS, PictureModel, direct, draw, letters, picture_places, pictured

_DIRECT = 1  # direct questions beside one that is pictured
_WARMUP = 50
_WEIGHT_DECAY = 0.01


@dataclass(frozen=True)
class Walked:
    """Walks of one length as tokens.

    Attributes:
        actions: Byte values, (N, n).
        boards: Token ids, (N, n + 1, 49).
        answers: Byte values, (N,).
    """

    actions: Tensor
    boards: Tensor
    answers: Tensor

    def __len__(self) -> int:
        return len(self.actions)

    def rows(self, chosen: Tensor) -> Walked:
        """Some of the walks."""
        return Walked(self.actions[chosen], self.boards[chosen], self.answers[chosen])


def as_tokens(actions: list[str], codes: Tensor, answers: list[str]) -> Walked:
    """Walks with the codes (N, n + 1, 7, 7) of their boards."""
    device = codes.device
    return Walked(letters(actions).to(device), codes.flatten(2) + VOCABULARY, letters(answers)[:, 0].to(device))


def step_flops(config: PicturesConfig, steps: int, with_pictures: bool) -> int:
    """Of a training step over walks of n actions."""
    vocabulary = VOCABULARY + config.codebook.codes
    flops = _DIRECT * transformer_flops(config.model, 2 + steps + CELLS, vocabulary)
    if with_pictures:
        flops += transformer_flops(config.model, 2 + steps + CELLS + steps * (CELLS + 1), vocabulary)
    return TRAINING * config.batch * flops


def matched_steps(config: PicturesConfig) -> int:
    """Steps of a training without pictures that cost as much as the one with them."""
    lengths = range(1, config.most_steps + 1)
    costs = [sum(step_flops(config, n, pictures) for n in lengths) for pictures in (True, False)]
    return round(config.steps * costs[0] / costs[1])


def train_pictures(
    walks: list[Walked],
    distances: Tensor | None,
    config: PicturesConfig,
    seed: int,
    with_pictures: bool,
    told: Callable[[int, float], None] = lambda step, loss: None,
) -> PictureModel:
    """A model that answers directly and, if it should, with pictures.

    Args:
        walks: Of one, two, … actions.
        distances: Of codes, for the discrepancy loss; None leaves it out.
        config: Sizes and optimiser.
        seed: Of weights and batches.
        with_pictures: Else the same compute is spent on direct answers alone.
        told: Called with each step and its loss.

    Raises:
        TrainingError: A loss is not finite.
    """
    device = walks[0].actions.device
    model = PictureModel(config.model, config.codebook.codes, config.decision, seed).to(device)
    steps = config.steps if with_pictures else matched_steps(config)
    optimizer, generator = byte_optimizer(model, config.lr, _WEIGHT_DECAY), torch.Generator().manual_seed(seed)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * min(1, (step + 1) / _WARMUP) * (1.05 + math.cos(math.pi * step / steps)) / 2.05
        longest = (
            min(len(walks), 1 + int(len(walks) * step / (config.curriculum * steps))) if config.curriculum else None
        )
        drawn = walks[int(torch.randint(longest or len(walks), (1,), generator=generator))]
        chosen = torch.randint(len(drawn), (config.batch * _DIRECT,), generator=generator).to(device)
        batch = drawn.rows(chosen)
        loss = cross_entropy(model(*direct(batch.actions, batch.boards[:, 0]))[:, -1], batch.answers)
        if with_pictures:
            first = torch.arange(config.batch, device=device)
            loss = loss + pictured_loss(model, batch.rows(first), distances, config.discrepancy, config.changed)
        if not math.isfinite(loss.item()):
            raise TrainingError(f"step {step} with pictures: the loss is {loss.item()}; lower lr={config.lr}")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        told(step, loss.item())
    return model.eval()


def pictured_loss(
    model: PictureModel, batch: Walked, distances: Tensor | None, weight: float, changed: float
) -> Tensor:
    """Cross-entropy of the answer, of the pictures' codes, and the weighted token discrepancy."""
    logits = model(*pictured(batch.actions, batch.boards))
    shown = logits[:, picture_places(batch.actions.shape[1]).to(logits.device)]  # (B, 49 n, V)
    right = batch.boards[:, 1:].flatten(1)
    losses = cross_entropy(shown.flatten(0, 1), right.flatten(), reduction="none")
    differs = (right != batch.boards[:, :-1].flatten(1)).flatten()
    loss = changed * mean_of(losses, differs) + (1 - changed) * mean_of(losses, ~differs)
    if distances is not None:
        loss = loss + weight * token_discrepancy(shown[..., VOCABULARY:], right - VOCABULARY, distances)
    return cross_entropy(logits[:, -1], batch.answers) + loss


def mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen of values (N,), zero of none."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


@torch.no_grad()
def answer_logits(model: PictureModel, actions: Tensor, boards: Tensor, part: int = 256) -> Tensor:
    """Log-shares (N, 3) of the outcomes, directly for one board (N, 1, 49), else with the boards (N, n + 1, 49)."""
    model.eval()
    outcomes = torch.tensor([ord(letter) for letter in OUTCOMES], device=actions.device)
    found = []
    for some, shown in zip(torch.split(actions, part), torch.split(boards, part), strict=True):
        tokens, cells = direct(some, shown[:, 0]) if shown.shape[1] == 1 else pictured(some, shown)
        found.append(model(tokens, cells)[:, -1, outcomes])
    return torch.cat(found).log_softmax(-1)


@dataclass(frozen=True)
class Tried:
    """Questions answered both ways.

    Attributes:
        hidden: State behind the question and ``=``, (N, W).
        entropy: Of the direct answer, nats, (N,).
        steps: Actions, (N,).
        direct: Log-shares of the outcomes, (N, 3).
        pictured: Likewise, behind the model's own pictures, (N, 3).
        drawn: Those pictures and the board before, token ids (N, n + 1, 49).
        right: Number of the right outcome, (N,).
    """

    hidden: Tensor
    entropy: Tensor
    steps: Tensor
    direct: Tensor
    pictured: Tensor
    drawn: Tensor
    right: Tensor

    def losses(self) -> tuple[Tensor, Tensor]:
        """Nats of the right answer without and with pictures, (N,) each."""
        return tuple(-shares.gather(1, self.right[:, None])[:, 0] for shares in (self.direct, self.pictured))  # type: ignore[return-value]


@torch.no_grad()
def try_both(model: PictureModel, walked: Walked) -> Tried:
    """Answer walks of one length directly and with the model's own pictures."""
    drawn = draw(model, walked.actions, walked.boards[:, 0])[0]
    shares = answer_logits(model, walked.actions, walked.boards[:, :1])
    hidden = model.hidden(*direct(walked.actions, walked.boards[:, 0]))[:, -1]
    right = torch.tensor([OUTCOMES.index(chr(letter)) for letter in walked.answers.tolist()], device=hidden.device)
    steps = torch.full_like(right, walked.actions.shape[1])
    entropy = -(shares.exp() * shares).sum(-1)
    return Tried(hidden, entropy, steps, shares, answer_logits(model, walked.actions, drawn), drawn, right)


def train_decision(model: PictureModel, tried: list[Tried], seed: int) -> float:
    """Train the model's decision in place on whether pictures lowered the answer's loss; its last loss in nats.

    The network around it stays as it is.
    """
    config, decision = model.decision.config, model.decision
    hidden, entropy, steps = (
        torch.cat([getattr(one, name) for one in tried]) for name in ("hidden", "entropy", "steps")
    )
    without, with_pictures = (torch.cat(parts) for parts in zip(*(one.losses() for one in tried), strict=True))
    helped = (with_pictures < without - config.margin).float()
    optimizer = torch.optim.AdamW(decision.parameters(), lr=config.lr, weight_decay=0.01)
    generator, loss = torch.Generator().manual_seed(seed), torch.zeros(())
    for _ in range(config.steps):
        rows = torch.randint(len(helped), (64,), generator=generator).to(helped.device)
        logits = decision.logits(hidden[rows], entropy[rows], steps[rows])
        loss = binary_cross_entropy_with_logits(logits, helped[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return float(loss.detach())
