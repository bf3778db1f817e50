"""A causal language model over bytes: rotary positions, pre-norm blocks, one embedding for input and output.

Every sequence begins with the mark ``BEGIN``, so that the first byte is predicted like any other:

    inputs  BEGIN x_0 … x_{L-2}      logits[:, t] is about x_t and depends on x_0 … x_{t-1} alone

Rotary positions: Su et al. 2021, arXiv:2104.09864. Root-mean-square norms: Zhang & Sennrich 2019, arXiv:1910.07467.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, gelu, pad, scaled_dot_product_attention

from pipeline.config.sleepwake import ByteModelConfig

BEGIN = 256
"""Stands before every sequence."""
END = 257
"""Closes an answer; text holds none."""
VOCABULARY = 258
_ROTARY_BASE = 10_000.0
_INITIAL_STD = 0.02


def rotate(values: Tensor) -> Tensor:
    """Rotary positions of queries or keys (…, L, D), D even: the pair (i, i + D/2) turns by t · 10000^(−2i/D)."""
    half = values.shape[-1] // 2
    cosine, sine = _turns(values.shape[-2], half, values.dtype, values.device)
    first, second = values[..., :half], values[..., half:]
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)


@lru_cache(maxsize=64)
def _turns(length: int, half: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angles, (L, D/2) each."""
    rates = _ROTARY_BASE ** (-torch.arange(half, device=device) / half)
    angles = torch.arange(length, device=device)[:, None] * rates
    return angles.cos().to(dtype), angles.sin().to(dtype)


class Block(nn.Module):
    """Attention and a feed-forward network, each added to the residual stream (B, L, W)."""

    def __init__(self, config: ByteModelConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.attention_norm, self.network_norm = nn.RMSNorm(config.width), nn.RMSNorm(config.width)
        self.attention = nn.Linear(config.width, 3 * config.width, bias=False)
        self.joined = nn.Linear(config.width, config.width, bias=False)
        self.up = nn.Linear(config.width, config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, stream: Tensor) -> Tensor:
        """The stream (B, L, W) behind this block."""
        parts = self.attention(self.attention_norm(stream)).view(*stream.shape[:2], 3, self.heads, -1)
        parts = parts.permute(2, 0, 3, 1, 4)  # queries, keys, values: (B, H, L, W/H) each
        queries, keys = rotate(parts[:2])
        mixed = self.mixed(queries, keys, parts[2])
        attended = self.joined(mixed.transpose(1, 2).flatten(2))
        stream = stream + dropout(attended, self.dropout, self.training)
        thought = self.down(gelu(self.up(self.network_norm(stream))))
        return stream + dropout(thought, self.dropout, self.training)

    def mixed(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """What causal attention gives, (B, H, L, W/H), for rotated queries and keys and values of that shape."""
        return scaled_dot_product_attention(queries, keys, values, is_causal=True)


class ByteModel(nn.Module):
    """Logits of the next byte.

    Args:
        config: Sizes.
        seed: Of the initial weights.
    """

    def __init__(self, config: ByteModelConfig, seed: int) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embedding = nn.Embedding(VOCABULARY, config.width)
            self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
            self.norm = nn.RMSNorm(config.width)
            self.initialise()

    def initialise(self) -> None:
        """Draw all matrices anew."""
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                # Branches that add to the stream start smaller, as in GPT-2 (Radford et al. 2019).
                shrink = (2 * self.config.layers) ** -0.5 if name.endswith(("joined.weight", "down.weight")) else 1.0
                nn.init.normal_(weight, std=_INITIAL_STD * shrink)

    def hidden(self, tokens: Tensor) -> Tensor:
        """The stream (B, L, W) behind the last block and norm, for token ids (B, L).

        Raises:
            ValueError: L is more than the context.
        """
        if tokens.shape[1] > self.config.context:
            raise ValueError(f"expected at most context={self.config.context} tokens, found {tokens.shape[1]}")
        stream = self.embedded(tokens)
        for block in self.blocks:
            stream = block(stream)
        normed: Tensor = self.norm(stream)
        return normed

    def embedded(self, tokens: Tensor) -> Tensor:
        """Embeddings (B, L, W) of token ids (B, L)."""
        return dropout(self.embedding(tokens), self.config.dropout, self.training)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, L, V) of the token behind each of token ids (B, L)."""
        return self.hidden(tokens) @ self.embedding.weight.T

    def of_bytes(self, values: Tensor) -> Tensor:
        """Logits (B, L, V) of each of byte values (B, L) itself, from those before it."""
        logits: Tensor = self(pad(values[:, :-1], (1, 0), value=BEGIN))
        return logits


def byte_losses(model: ByteModel, values: Tensor) -> Tensor:
    """Nats of every byte, (B, L), for byte values (B, L)."""
    logits = model.of_bytes(values)
    return cross_entropy(logits.flatten(0, 1), values.flatten(), reduction="none").view(values.shape)


def entropies(model: ByteModel, values: Tensor) -> Tensor:
    """Entropy in nats of the prediction of every byte, (B, L), for byte values (B, L); that of x_t sees no x_t."""
    log_shares = model.of_bytes(values)[..., :256].log_softmax(-1)  # over bytes: ln 256 at most
    return -(log_shares.exp() * log_shares).sum(-1)
