"""Peers at the needle model's budget: a GRU, and causal attention in two layers; both see tokens alone.

A peer answers where the tokens ask, and is as wide as its budget of parameters allows.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from pipeline.needle.layout import Layout, gather, positions_of

HEADS = 4
LAYERS = 2


@dataclass(frozen=True)
class PeerOutputs:
    """Logits (B, Q, V) and where they stand, (B, Q)."""

    logits: Tensor
    positions: Tensor


class Peer(nn.Module, ABC):
    """What peers share: an embedding, an answer at the questions.

    Args:
        layout: Tokens of the task.
        width: Numbers of a state.
    """

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.layout = layout
        self.embedding = nn.Embedding(layout.vocabulary, width)
        self.answer = nn.Linear(width, layout.values)

    @abstractmethod
    def states(self, tokens: Tensor) -> Tensor:
        """Tokens (B, L) to states (B, L, width) that have seen nothing later."""
        ...

    def forward(self, tokens: Tensor) -> PeerOutputs:
        """Tokens (B, L) to answers."""
        if self.layout.query_token is None:
            positions = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        else:
            positions = positions_of(tokens.eq(self.layout.query_token))
        return PeerOutputs(self.answer(gather(self.states(tokens), positions)), positions)


class GruPeer(Peer):
    """One layer of gated recurrent units."""

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__(layout, width)
        self.gru = nn.GRU(width, width, batch_first=True)

    def states(self, tokens: Tensor) -> Tensor:
        """See ``Peer``."""
        states: Tensor = self.gru(self.embedding(tokens))[0]
        return states


class AttentionBlock(nn.Module):
    """Causal attention, then two linear maps; both added to what came in, after layer normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before_attention, self.before_maps = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.maps = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, states: Tensor) -> Tensor:
        """States (B, L, width) to states (B, L, width)."""
        parts = self.project(self.before_attention(states)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts
        attended = scaled_dot_product_attention(queries, keys, values, is_causal=True)  # (B, heads, L, width / heads)
        states = states + self.merge(attended.transpose(1, 2).flatten(2))
        mapped: Tensor = states + self.maps(self.before_maps(states))
        return mapped


class AttentionPeer(Peer):
    """Two blocks of causal attention over embeddings and sinusoidal positions; twice is what recall needs.

    Olsson et al. 2022, arXiv 2209.11895.
    """

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__(layout, width)
        self.blocks = nn.ModuleList(AttentionBlock(width) for _ in range(LAYERS))
        self.normalise = nn.LayerNorm(width)

    def states(self, tokens: Tensor) -> Tensor:
        """See ``Peer``."""
        states = self.embedding(tokens) + sinusoids(tokens.shape[1], self.embedding.embedding_dim, tokens.device)
        for block in self.blocks:
            states = block(states)
        normalised: Tensor = self.normalise(states)
        return normalised


def sinusoids(length: int, width: int, device: torch.device) -> Tensor:
    """Positions (L, width), width even, as sines and cosines (Vaswani et al. 2017, arXiv 1706.03762)."""
    rates = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000) / width))
    angles = torch.arange(length, device=device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1)


PEERS: dict[str, type[Peer]] = {"gru": GruPeer, "attention": AttentionPeer}


def parameters(model: nn.Module) -> int:
    """Numbers that a model learns."""
    return sum(weight.numel() for weight in model.parameters())


def peer(name: str, layout: Layout, budget: int, seed: int) -> Peer:
    """The widest peer whose parameters are within a budget; widths are multiples of the number of heads times two.

    Args:
        name: gru or attention.
        layout: Tokens of the task.
        budget: Parameters.
        seed: Of the weights.
    """
    make: Callable[[Layout, int], Peer] = PEERS[name]
    step, width = 2 * HEADS, 2 * HEADS
    with torch.device("meta"):
        while parameters(make(layout, width + step)) <= budget:
            width += step
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(layout, width)
