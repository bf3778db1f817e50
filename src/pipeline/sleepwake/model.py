"""A byte transformer whose attention sees a window, with a memory of the sequence beside it.

    logits = model(tokens)                    with the memory
    logits = model(tokens, memory=False)      from the weights and the window alone

Attention reaches ``window`` bytes back and to a few learned, persistent keys and values (Behrouz et al. 2025,
arXiv:2501.00663, sections 3.3 and 4.1). What stands farther back is read from the memory, which stores what followed
which context:

    key of x_t: the states of x_{t−n} … x_{t−1}      value of x_t: its embedding      query at t: the states up to x_t

Keys and queries are one function, so that a context that occurs again reads what followed it (an induction step).
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad, scaled_dot_product_attention

from pipeline.config.sleepwake import SleepWakeModelConfig
from pipeline.sleepwake.byte_model import BEGIN, Block, ByteModel
from pipeline.sleepwake.titans import Gates, MemoryState, Recalled, initial_gates
from pipeline.sleepwake.titans_library import LEARNERS

_PERSISTENT_STD = 0.02
_BEGUN = 0.25  # length of what a fresh memory adds for a stored byte: about that of an embedding


class WindowBlock(Block):
    """A block whose attention sees a window and persistent keys and values."""

    def __init__(self, config: SleepWakeModelConfig) -> None:
        super().__init__(config)
        self.window = config.window
        self.persistent = nn.Parameter(
            torch.randn(2, config.heads, config.persistent, config.width // config.heads) * _PERSISTENT_STD
        )

    def mixed(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """What attention gives, (B, H, L, W/H), for rotated queries and keys and values of that shape."""
        return window_attention(queries, keys, values, self.persistent, self.window)


def window_attention(queries: Tensor, keys: Tensor, values: Tensor, persistent: Tensor, window: int) -> Tensor:
    """Causal attention to the last ``window`` positions and to persistent keys and values.

    Positions are cut into pieces as long as the window, each of which attends to itself and the piece before.

    Args:
        queries: (B, H, L, D).
        keys: (B, H, L, D).
        values: (B, H, L, D).
        persistent: Keys and values (2, H, P, D).
        window: Positions that are seen, a position itself included.

    Returns:
        (B, H, L, D).
    """
    batch, heads, length, size = queries.shape
    fixed = persistent.shape[2]
    persistent = persistent.to(keys.dtype)
    if length <= window:
        keys, values = (
            torch.cat([lasting.expand(batch, -1, -1, -1), part], 2)
            for lasting, part in zip(persistent, (keys, values), strict=True)
        )
        return scaled_dot_product_attention(
            queries, keys, values, attn_mask=_seen(1, length, window, fixed, keys.device)
        )
    pieces = -(-length // window)
    rest = pieces * window - length
    queries, keys, values = (
        pad(part, (0, 0, 0, rest)).view(batch, heads, pieces, window, size) for part in (queries, keys, values)
    )
    keys, values = (
        torch.cat(
            [
                lasting[None, :, None].expand(batch, heads, pieces, fixed, size),
                pad(part[:, :, :-1], (0, 0, 0, 0, 1, 0)),
                part,
            ],
            3,
        )
        for lasting, part in zip(persistent, (keys, values), strict=True)
    )
    found = scaled_dot_product_attention(
        queries, keys, values, attn_mask=_seen(pieces, window, window, fixed, keys.device)
    )
    return found.reshape(batch, heads, pieces * window, size)[:, :, :length]


@lru_cache(maxsize=64)
def _seen(pieces: int, piece: int, window: int, fixed: int, device: torch.device) -> Tensor:
    """Which keys each query sees: (L, P + L) of one piece, else (pieces, L, P + 2 L), the piece before included."""
    places = torch.arange(piece, device=device)
    before = places[:0] if pieces == 1 else places - piece
    apart = places[:, None] - torch.cat([before, places])[None, :]
    seen = ((apart >= 0) & (apart < window)).expand(pieces, -1, -1).clone()
    seen[0, :, : len(before)] = False
    seen = torch.cat([seen.new_ones(pieces, piece, fixed), seen], -1)
    return seen[0] if pieces == 1 else seen


class SequenceMemory(nn.Module):
    """What followed which context in a sequence; see the module. Holds no memory itself.

    Args:
        config: Sizes, and gates at the start.
    """

    def __init__(self, config: SleepWakeModelConfig) -> None:
        super().__init__()
        self.config = config.titans
        size, reach = config.titans.dimension, config.convolution
        self.norm = nn.RMSNorm(config.width)
        self.key = nn.Linear(config.width, size, bias=False)
        # Random signs tell positions of a context apart before anything is learned.
        self.reach = nn.Parameter(torch.randint(0, 2, (reach, size)).float() * 2 - 1)
        self.value = nn.Linear(config.width, size, bias=False)
        self.out = nn.Linear(size, config.width, bias=False)
        self.gates = nn.Linear(2 * config.width, 3)

    def begin(self) -> None:
        """Initial weights: gates as configured, reads that come back as the embeddings that were stored."""
        nn.init.orthogonal_(self.value.weight)
        self.out.weight.data.copy_(_BEGUN * self.value.weight.data.T)
        nn.init.orthogonal_(self.key.weight)
        initial_gates(self.gates, self.config)

    def forward(self, stream: Tensor, embedded: Tensor, state: MemoryState | None = None) -> tuple[Tensor, Recalled]:
        """What the memory adds to a stream, (B, L, W), and what it gave.

        Args:
            stream: States (B, L, W).
            embedded: Embeddings of the tokens, (B, L, W).
            state: Of the positions of the same sequences before, whose last byte is the first one's context; None
                begins afresh.
        """
        normed = self.norm(stream)
        contexts = self.contexts(normed)
        before = pad(contexts[:, :-1], (0, 0, 1, 0))
        momentum, step, forget = (
            self.gates(torch.cat([normed, pad(normed[:, :-1], (0, 0, 1, 0))], -1)).sigmoid().unbind(-1)
        )
        step = torch.cat([torch.zeros_like(step[:, :1]), step[:, 1:]], 1)  # nothing stands before the first
        values = self.value(normalize(embedded, dim=-1))
        recalled = LEARNERS[self.config.library](
            before,
            values,
            contexts,
            Gates(momentum, step, forget),
            self.config.chunk,
            state,
            self.config.gradients == "exact",
        )
        added: Tensor = self.out(recalled.reads)
        return added, Recalled(recalled.reads, step.detach() * recalled.surprise, recalled.state)

    def contexts(self, normed: Tensor) -> Tensor:
        """A vector of length 1 for what stands at and before every position, (B, L, D)."""
        states = self.key(normed)
        reach = len(self.reach)
        padded = pad(states, (0, 0, reach - 1, 0))
        shifted = [padded[:, reach - 1 - back : padded.shape[1] - back] for back in range(reach)]
        summed = (torch.stack(shifted) * self.reach[:, None, None]).sum(0)
        return normalize(summed, dim=-1)


class SleepWakeModel(ByteModel):
    """Logits of the next byte, with or without the memory of the sequence.

    Args:
        config: Sizes.
        seed: Of the initial weights.
    """

    config: SleepWakeModelConfig

    def __init__(self, config: SleepWakeModelConfig, seed: int) -> None:
        super().__init__(config, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.blocks = nn.ModuleList(WindowBlock(config) for _ in range(config.layers))
            self.memory = SequenceMemory(config)
            self.initialise()
            self.memory.begin()

    def read(
        self, tokens: Tensor, memory: bool = True, state: MemoryState | None = None
    ) -> tuple[Tensor, Recalled | None]:
        """The stream behind the last block and norm, (B, L, W), and what the memory gave.

        Args:
            tokens: Ids (B, L), of any length.
            memory: Whether it is read and written.
            state: What the memory holds of earlier sessions of the same sequences; None is nothing.
        """
        embedded = self.embedding(tokens)
        stream, recalled = self.embedded(tokens), None
        for number, block in enumerate(self.blocks):
            if memory and number == self.config.memory_block:
                added, recalled = self.memory(stream, embedded, state)
                stream = stream + added
            stream = block(stream)
        return self.norm(stream), recalled

    def context_keys(self, tokens: Tensor) -> Tensor:
        """What the memory calls the context at every position of token ids (B, L), (B, L, D), each of length 1."""
        return self.memory.contexts(self.memory.norm(self._before_memory(tokens)))

    def carried(self, tokens: Tensor, state: MemoryState | None = None) -> MemoryState:
        """What the memory holds behind token ids (B, L); later blocks, which do not change it, are not asked."""
        recalled: Recalled = self.memory(self._before_memory(tokens), self.embedding(tokens), state)[1]
        return recalled.state

    def _before_memory(self, tokens: Tensor) -> Tensor:
        """The stream that the memory is given, (B, L, W)."""
        stream = self.embedded(tokens)
        for block in self.blocks[: self.config.memory_block]:
            stream = block(stream)
        return stream

    def hidden(self, tokens: Tensor, memory: bool = True) -> Tensor:
        """The stream (B, L, W) behind the last block and norm, for token ids (B, L) of any length."""
        return self.read(tokens, memory)[0]

    def forward(self, tokens: Tensor, memory: bool = True) -> Tensor:
        """Logits (B, L, V) of the token behind each of token ids (B, L)."""
        return self.hidden(tokens, memory) @ self.embedding.weight.T

    def of_bytes(self, values: Tensor, memory: bool = True) -> Tensor:
        """Logits (B, L, V) of each of byte values (B, L) itself, from those before it."""
        return self(pad(values[:, :-1], (1, 0), value=BEGIN), memory)  # type: ignore[no-any-return]
