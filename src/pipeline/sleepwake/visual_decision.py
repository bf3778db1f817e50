"""Whether a question is worth picturing: a learned probability, and limits that count every call.

probability = decision(hidden, entropy, steps)                (B,)
state, pictured = decision.decide(probability, tokens, pictures, state)

It is a module of the model that it serves, so it stands in that model's parameters, optimiser and checkpoints. It
learns by binary cross-entropy whether pictures lowered the loss of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from pipeline.config.sleepwake_parts import DecisionConfig


@dataclass(frozen=True)
class DecisionState:
    """What was counted along one stream of questions.

    Attributes:
        calls: Decisions asked for.
        pictured: Decisions for pictures.
        pictures: Pictures drawn.
        too_soon: Decisions that the distance to the last picture alone prevented.
        tokens_since: Tokens since the last picture, or since the beginning.
    """

    calls: int = 0
    pictured: int = 0
    pictures: int = 0
    too_soon: int = 0
    tokens_since: int = 0


class VisualDecision(nn.Module):
    """A network of one hidden layer over the model's own state.

    Args:
        width: Of the hidden state.
        config: Its size, and the limits.
    """

    def __init__(self, width: int, config: DecisionConfig) -> None:
        super().__init__()
        self.config = config
        self.inner = nn.Linear(width + 2, config.hidden)
        self.outer = nn.Linear(config.hidden, 1)

    def logits(self, hidden: Tensor, entropy: Tensor, steps: Tensor) -> Tensor:
        """Log-odds (B,) that pictures lower the answer's loss.

        Args:
            hidden: State behind the question, before an answer, (B, W).
            entropy: Of the answer that would be given now, nats, (B,).
            steps: Actions to follow, (B,).
        """
        features = torch.cat([hidden, entropy[:, None], steps[:, None].to(hidden.dtype)], -1)
        found: Tensor = self.outer(gelu(self.inner(features)))[:, 0]
        return found

    def forward(self, hidden: Tensor, entropy: Tensor, steps: Tensor) -> Tensor:
        """Probabilities (B,), see `logits`."""
        return self.logits(hidden, entropy, steps).sigmoid()

    def decide(
        self, probability: float, tokens: int, pictures: int, state: DecisionState
    ) -> tuple[DecisionState, bool]:
        """Whether one question is pictured, and the counts behind it; they move whatever the answer is.

        Args:
            probability: That pictures help.
            tokens: Read since the last call.
            pictures: That picturing the question would draw.
            state: The counts so far.
        """
        since = state.tokens_since + tokens
        wanted = probability >= self.config.threshold and 0 < pictures <= self.config.max_pictures
        late = since >= self.config.min_tokens_between
        pictured = wanted and late
        return DecisionState(
            state.calls + 1,
            state.pictured + pictured,
            state.pictures + pictures * pictured,
            state.too_soon + (wanted and not late),
            0 if pictured else since,
        ), pictured
