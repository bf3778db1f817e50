"""The needle model: states, writes, one holographic memory a sequence, reads, logits.

Rule 0: ``forward`` takes tokens alone. Where a marked write or a question stands is read off the tokens. The oracle,
true values mixed into what is written, is a method of its own that only works in training mode.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from pipeline.config.emma import EmmaConfig, HolographicConfig, NeedleModelConfig, ReadConfig
from pipeline.errors import ModelError
from pipeline.needle.core import FixedPointCore, LiquidLane, Solved
from pipeline.needle.heads import GateHead, KeyHead, ValueHead
from pipeline.needle.layout import Layout, gather, index_of, positions_of
from pipeline.needle.memory import HolographicMemory, Writes
from pipeline.needle.readout import Readout


class Batch(Protocol):
    """Sequences with their labels; a label of -1 is none.

    Attributes:
        tokens: int64 (B, L).
        query_pos: (B, Q).
        target: Index of the right value, (B, Q).
        pair_pos: Where pairs stand, (B, P).
        pair_key: (B, P).
        pair_val: Index of each pair's value, (B, P).
    """

    @property
    def tokens(self) -> Tensor: ...
    @property
    def query_pos(self) -> Tensor: ...
    @property
    def target(self) -> Tensor: ...
    @property
    def pair_pos(self) -> Tensor: ...
    @property
    def pair_key(self) -> Tensor: ...
    @property
    def pair_val(self) -> Tensor: ...


@dataclass(frozen=True)
class Encoded:
    """What tokens became before the memory was read.

    Attributes:
        length: L.
        writes: Of all sequences.
        gate_logits: At every position, (B, L); None where writes are marked.
        query_positions: Ascending, (B, Q); L where a sequence asks less.
        query_keys: Spectra, (B, Q, F).
        query_drive: What drives the core there, (B, Q, hidden).
        query_lane: The liquid lane's states there, (B, Q, hidden), or None.
        solved: How the states were found.
    """

    length: int
    writes: Writes
    gate_logits: Tensor | None
    query_positions: Tensor
    query_keys: Tensor
    query_drive: Tensor
    query_lane: Tensor | None
    solved: Solved


@dataclass(frozen=True)
class Outputs:
    """Answers and all that a loss or a measurement needs.

    Attributes:
        logits: Of the answers, (B, Q, V).
        prediction: Logits of the core's own answer, (B, Q, V); with ``answer=prediction`` those of what was read.
        raw: Reads, norm 1, (B, Q, D).
        cleaned: The same, cleaned up, (B, Q, D).
        read_buckets: Buckets that reads summed, (B, Q, k).
        predicted: Values of writes as the value head made them, (B, W, D).
        encoded: See there.
    """

    logits: Tensor
    prediction: Tensor
    raw: Tensor
    cleaned: Tensor
    read_buckets: Tensor
    predicted: Tensor
    encoded: Encoded

    @property
    def positions(self) -> Tensor:
        """Where the answers stand, (B, Q); the sequence's length where it asks less."""
        return self.encoded.query_positions


class NeedleModel(nn.Module):
    """The whole model.

    Args:
        model: Sizes.
        emma: Core and writes.
        memory: The memory.
        read: The readout.
        layout: Tokens of the task.
        seed: Of the weights and of the buckets' directions.

    Raises:
        ModelError: Writes are to be marked, but the task has no marks; or ``mem_dim`` is odd.
    """

    def __init__(
        self,
        model: NeedleModelConfig,
        emma: EmmaConfig,
        memory: HolographicConfig,
        read: ReadConfig,
        layout: Layout,
        seed: int,
    ) -> None:
        super().__init__()
        if emma.writes == "marked" and layout.write_token is None:
            raise ModelError("writes=marked: this task's sequences hold no marks; set emma.writes=learned")
        if model.mem_dim % 2:
            raise ModelError(f"mem_dim={model.mem_dim}: expected an even number, since spectra of odd ones lose it")
        self.emma, self.layout = emma, layout
        features = model.hid_dim * (2 if model.liquid else 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.core = FixedPointCore(model, emma, layout.vocabulary)
            self.lane = LiquidLane(model.hid_dim) if model.liquid else None
            self.key = KeyHead(features, model.mem_dim, emma.spectral_norm_keys, memory.unitary_keys)
            self.own_query = deepcopy(self.key) if emma.own_query_keys else None
            self.value = ValueHead(features, model.mem_dim, emma.spectral_norm_keys, emma.value_dropout)
            self.gate = GateHead(features, emma.gate_bias) if emma.writes == "learned" else None
            self.readout = Readout(read, layout.values, model.mem_dim, emma.logit_scale_max)
        self.memory = HolographicMemory(memory, model.mem_dim, seed)

    def forward(self, tokens: Tensor) -> Outputs:
        """Tokens, int64 (B, L), to answers; nothing else comes in."""
        return self.answer(self.encode(tokens))

    def with_oracle(self, batch: Batch, alpha: float) -> Outputs:
        """Answers where needles' written values are α · true value + (1 − α) · predicted one: training only.

        Raises:
            ModelError: The model is in evaluation mode.
        """
        if not self.training:
            raise ModelError("true values may be written in training alone: evaluate with forward(tokens)")
        encoded = self.encode(batch.tokens)
        writes = encoded.writes
        index, found = index_of(writes.positions, batch.pair_pos + self.layout.write_offset)
        found = found & (batch.pair_val >= 0)
        true = self.readout.prototypes().detach()[batch.pair_val.clamp_min(0)]  # (B, P, D)
        mixed = normalize(alpha * true + (1 - alpha) * gather(writes.values, index), dim=-1)
        slot = torch.where(found, index, writes.values.shape[1])[..., None].expand_as(mixed)
        values = nn.functional.pad(writes.values, (0, 0, 0, 1)).scatter(1, slot, mixed)[:, :-1]
        return self.answer(replace(encoded, writes=replace(writes, values=values)), predicted=writes.values)

    def write_heads(self) -> list[nn.Parameter]:
        """What decides where and what is written, besides the core."""
        heads = (self.key, self.own_query, self.value, self.gate)
        return [weight for head in heads if head is not None for weight in head.parameters()]

    @property
    def query(self) -> KeyHead:
        """The head of questions' keys: that of writes, unless they have their own."""
        return self.key if self.own_query is None else self.own_query

    def encode(self, tokens: Tensor) -> Encoded:
        """States where they are needed, and from them what is written and what is asked."""
        length = tokens.shape[1]
        queries = self.query_positions(tokens)
        if self.gate is None and self.lane is None:
            marks = self.marks(tokens)
            drive = self.core.drive(tokens, torch.cat([marks, queries], 1))
            features, solved = self.core.solve(drive)
            written, asked = features[:, : marks.shape[1]], features[:, marks.shape[1] :]
            return Encoded(
                length,
                self._writes(marks, written, (marks < length).to(drive.dtype)),
                None,
                queries,
                self.query(asked),
                drive[:, marks.shape[1] :],
                None,
                solved,
            )
        everywhere = torch.arange(length, device=tokens.device).expand_as(tokens)
        drive = self.core.drive(tokens, everywhere)
        states, solved = self.core.solve(drive)
        lane = None if self.lane is None else self.lane(states)
        features = states if lane is None else torch.cat([states, lane], -1)
        positions, gates, gate_logits = self._opened(tokens, features)
        return Encoded(
            length,
            self._writes(positions, gather(features, positions), gates),
            gate_logits,
            queries,
            self.query(gather(features, queries)),
            gather(drive, queries),
            None if lane is None else gather(lane, queries),
            solved,
        )

    def marks(self, tokens: Tensor) -> Tensor:
        """Where tokens (B, L) hold marks of writes, (B, W)."""
        assert self.layout.write_token is not None
        return positions_of(tokens.eq(self.layout.write_token))

    def query_positions(self, tokens: Tensor) -> Tensor:
        """Where tokens (B, L) ask, (B, Q)."""
        if self.layout.query_token is None:
            return torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        return positions_of(tokens.eq(self.layout.query_token))

    def _opened(self, tokens: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Where is written, how much, and the gate's logits everywhere: (B, W), (B, W), (B, L)."""
        if self.gate is None:
            marks = self.marks(tokens)
            return marks, (marks < tokens.shape[1]).to(features.dtype), None
        logits: Tensor = self.gate(features)
        most = self.emma.max_writes_per_seq
        if most is None or most >= tokens.shape[1]:
            return torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens), logits.sigmoid(), logits
        positions = logits.topk(most, dim=1).indices.sort(dim=1).values
        return positions, logits.gather(1, positions).sigmoid(), logits

    def _writes(self, positions: Tensor, features: Tensor, gates: Tensor) -> Writes:
        keys = self.key(features)
        return Writes(positions, keys, self.value(features), gates, self.memory.bucket(keys))

    def answer(
        self,
        encoded: Encoded,
        alter: Callable[[Tensor], Tensor] | None = None,
        predicted: Tensor | None = None,
    ) -> Outputs:
        """Read the memory and answer.

        Args:
            encoded: What the tokens became.
            alter: Replaces raw reads (B, Q, D), for controls: no memory, another sequence's memory.
            predicted: The value head's values, if the writes hold others.
        """
        prototypes = self.readout.prototypes()
        writes = encoded.writes
        raw, buckets = self.memory.read(encoded.query_positions, encoded.query_keys, writes, prototypes)
        return self.conclude(encoded, raw if alter is None else alter(raw), buckets, predicted)

    def conclude(self, encoded: Encoded, raw: Tensor, buckets: Tensor, predicted: Tensor | None = None) -> Outputs:
        """From raw reads (B, Q, D) and their buckets (B, Q, k) to answers."""
        prototypes = self.readout.prototypes()
        logits, raw, cleaned = self.readout(raw, prototypes)
        drive = encoded.query_drive
        if self.emma.mem_into_deq:
            drive = drive + self.core.inject(self.emma.mem_scale * cleaned)
        states, _ = self.core.solve(drive)
        lane = encoded.query_lane
        own = self.value(states if lane is None else torch.cat([states, lane], -1))
        prediction = self.readout.logits(own, prototypes)
        if self.emma.answer == "prediction":
            logits, prediction = prediction, logits
        values = encoded.writes.values if predicted is None else predicted
        return Outputs(logits, prediction, raw, cleaned, buckets, values, encoded)
