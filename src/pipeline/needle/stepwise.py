"""The needle model with its own weights, one position after another in a loop of Python: the peer of the speed bar.

It is what the document's code does: at every position solve the state, write, and at questions read. Answers are the
fast model's, which solves all positions at once and reads by one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.errors import ModelError
from pipeline.needle.core import Solved
from pipeline.needle.layout import gather
from pipeline.needle.memory import Writes, bind, known, unbind
from pipeline.needle.model import Encoded, NeedleModel, Outputs


@dataclass(frozen=True)
class _Step:
    """One position of every row: drive, key and query, value, gate and its logit, own bucket, raw read, its buckets."""

    drive: Tensor
    key: Tensor
    query: Tensor
    value: Tensor
    gate: Tensor
    logit: Tensor
    bucket: Tensor
    raw: Tensor
    read_buckets: Tensor
    solved: Solved


def forward_stepwise(model: NeedleModel, tokens: Tensor) -> Outputs:
    """The same answers as ``model(tokens)``; ``encoded.solved`` tells of the last position alone.

    Args:
        model: Without a liquid lane.
        tokens: int64 (B, L).

    Raises:
        ModelError: The model has a liquid lane.
    """
    if model.lane is not None:
        raise ModelError("stepwise: expected a model without a lane over positions; set model.liquid=false")
    allowed = _allowed(model, tokens)
    size = model.memory.directions.shape[1] // 2 + 1
    traces = torch.zeros(
        len(tokens), model.memory.config.bucket_count, size, dtype=torch.complex64, device=tokens.device
    )
    steps = list[_Step]()
    for time in range(tokens.shape[1]):
        step, traces = _advance(model, tokens, time, traces, allowed[:, time])
        steps.append(step)
    return _conclude(model, tokens, steps, allowed)


@torch.no_grad()
def _allowed(model: NeedleModel, tokens: Tensor) -> Tensor:
    """Where a write may be, (B, L) of zeros and ones: the widest gates are known only after all."""
    if model.gate is None or model.emma.max_writes_per_seq is None:
        return torch.ones(tokens.shape, device=tokens.device)
    positions = model.encode(tokens).writes.positions
    return torch.zeros(tokens.shape, device=tokens.device).scatter(1, positions, 1.0)


def _advance(model: NeedleModel, tokens: Tensor, time: int, traces: Tensor, allowed: Tensor) -> tuple[_Step, Tensor]:
    """Solve one position, read, then write: the step and the traces (B, buckets, F) after it.

    Args:
        model: Whose weights.
        tokens: All of them, (B, L).
        time: The position.
        traces: What is stored so far, (B, buckets, F).
        allowed: Factor of the gate, (B,).
    """
    config = model.memory.config
    drive = model.core.drive(tokens, torch.full((len(tokens), 1), time, device=tokens.device))
    states, solved = model.core.solve(drive)
    key, query, value = model.key(states)[:, 0], model.query(states)[:, 0], model.value(states)[:, 0]
    if model.gate is None:
        assert model.layout.write_token is not None
        gate = tokens[:, time].eq(model.layout.write_token).to(value.dtype)
        logit = torch.zeros_like(gate)
    else:
        logit = model.gate(states)[:, 0]
        gate = logit.sigmoid() * allowed
    nearest = model.memory.scores(query).topk(config.k_top, dim=-1).indices  # (B, k)
    bucket = model.memory.bucket(key)
    raw = unbind(query, traces.gather(1, nearest[..., None].expand(-1, -1, traces.shape[2])).sum(1))
    place = (torch.arange(len(tokens), device=tokens.device), bucket)
    old = traces[place] * config.write_decay ** gate[:, None]
    stored = value * model.memory.strength(gate)[:, None]
    if config.rule == "delta":
        stored = stored - gate[:, None] * known(unbind(key, old), model.readout.prototypes())
    traces = traces.index_put(place, old + bind(key, stored))
    return _Step(drive[:, 0], key, query, value, gate, logit, bucket, raw, nearest, solved), traces


def _conclude(model: NeedleModel, tokens: Tensor, steps: list[_Step], allowed: Tensor) -> Outputs:
    """Answers at the questions, from all steps; writes are those that were allowed (B, L), as many in each row."""

    def joined(name: str) -> Tensor:
        return torch.stack([getattr(step, name) for step in steps], 1)

    queries = model.query_positions(tokens)
    written = allowed.nonzero()[:, 1].view(len(tokens), -1)
    keys = joined("key")
    weights = (joined(name).gather(1, written) for name in ("gate", "bucket"))
    encoded = Encoded(
        tokens.shape[1],
        Writes(written, *(gather(part, written) for part in (keys, joined("value"))), *weights),
        None if model.gate is None else joined("logit"),
        queries,
        gather(joined("query"), queries),
        gather(joined("drive"), queries),
        None,
        steps[-1].solved,
    )
    return model.conclude(encoded, gather(joined("raw"), queries), gather(joined("read_buckets"), queries))
