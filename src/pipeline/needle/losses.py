"""The losses: the only place where labels meet what the model made of the tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from pipeline.config.emma import HolographicConfig, NeedleLossConfig
from pipeline.needle.layout import gather, index_of
from pipeline.needle.model import Batch, NeedleModel, Outputs

ANCHORS = 512
"""Written values that InfoNCE compares with each other at most."""


@dataclass(frozen=True)
class Loss:
    """A sum and the terms it is made of, none of them weighted."""

    total: Tensor
    terms: dict[str, Tensor]


@dataclass(frozen=True)
class Needles:
    """A batch's pairs, and where the model wrote them.

    Attributes:
        index: Which of the model's writes each pair is, (B, P).
        written: Whether there is such a write, (B, P).
        positions: Where each pair should be written, (B, P).
        labels: Index of the true value, -1 for none, (B, P).
    """

    index: Tensor
    written: Tensor
    positions: Tensor
    labels: Tensor


def needles(model: NeedleModel, outputs: Outputs, batch: Batch) -> Needles:
    """Find a batch's pairs among the writes."""
    positions = batch.pair_pos + model.layout.write_offset
    index, found = index_of(outputs.encoded.writes.positions, positions)
    real = batch.pair_val >= 0
    return Needles(index, found & real, torch.where(real, positions, -1), batch.pair_val)


def asked(values: Tensor, positions: Tensor, batch: Batch) -> Tensor:
    """Rows (B, Q, ...) at a batch's questions, of values (B, N, ...) at ascending positions (B, N)."""
    index, _ = index_of(positions, batch.query_pos)
    return gather(values, index)


def answer_loss(logits: Tensor, positions: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy, nats, of logits (B, N, V) that stand at positions (B, N)."""
    return cross_entropy(asked(logits, positions, batch).flatten(0, 1), batch.target.flatten(), ignore_index=-1)


def loss(
    model: NeedleModel,
    outputs: Outputs,
    batch: Batch,
    weights: NeedleLossConfig,
    memory: HolographicConfig,
    lambda_nce: float,
) -> Loss:
    """All terms and their weighted sum.

    Args:
        model: Whose outputs they are.
        outputs: Of the batch's tokens.
        batch: Tokens and labels.
        weights: Of the terms.
        memory: The weight of the balance of buckets.
        lambda_nce: Weight of InfoNCE on values and on keys, from its scheduler.
    """
    found = needles(model, outputs, batch)
    positions = outputs.encoded.query_positions
    terms: dict[str, Tensor] = {
        "answer": answer_loss(outputs.logits, positions, batch),
        "prediction": answer_loss(outputs.prediction, positions, batch),
    }
    if found.labels.shape[1]:
        terms |= {
            "write_cos": write_loss(model, outputs, found),
            **key_terms(model, outputs, batch, found, weights.nce_temperature),
            "nce_value": value_nce(model, outputs, found, weights.nce_temperature),
            **bucket_terms(model, outputs, found),
        }
    weight = {
        "answer": 1.0,
        "prediction": weights.prediction,
        "write_cos": weights.write_cos,
        "nce_key": weights.key_nce + lambda_nce,
        "key_cos": weights.key_cos,
        "nce_value": lambda_nce,
        "address_entropy": weights.addr_entropy_weight,
        "load_variance": memory.load_balance_coeff,
    }
    if outputs.encoded.gate_logits is not None:
        terms["gate"] = gate_loss(outputs.encoded.gate_logits, found.positions)
        weight["gate"] = weights.gate
    total = torch.stack([weight[name] * term for name, term in terms.items() if weight[name]]).sum()
    return Loss(total, terms)


def mean_where(values: Tensor, which: Tensor) -> Tensor:
    """Mean of some of the values; 0 if there are none."""
    return (values * which).sum() / which.sum().clamp_min(1)


def write_cosines(model: NeedleModel, outputs: Outputs, found: Needles) -> Tensor:
    """Cosines (B, P) of each pair's predicted value with the true one; 0 where it was not written."""
    true = model.readout.prototypes()[found.labels.clamp_min(0)]
    return (gather(outputs.predicted, found.index) * true).sum(-1) * found.written


def write_loss(model: NeedleModel, outputs: Outputs, found: Needles) -> Tensor:
    """Mean of 1 − cosine of written and true value, over all needles that were written."""
    return mean_where(1 - write_cosines(model, outputs, found), found.written)


def key_terms(
    model: NeedleModel, outputs: Outputs, batch: Batch, found: Needles, temperature: float
) -> dict[str, Tensor]:
    """What makes a question find its needle.

    ``nce_key``: InfoNCE of a question's key against the keys that its sequence wrote, positive where the key token is
    the same (van den Oord et al. 2018, arXiv 1807.03748). ``key_cos``: one minus the cosine with those, since a few
    random negatives are soon told apart, long before the question falls into its needle's bucket.
    """
    layout, tokens = model.layout, batch.tokens
    keys = gather(outputs.encoded.writes.keys, found.index)  # (B, P, F)
    query = asked(outputs.encoded.query_keys, outputs.encoded.query_positions, batch)  # (B, Q, F)
    cosines = key_cosines(query, keys, model.memory.directions.shape[1])
    wanted = gather(tokens[..., None], batch.query_pos - layout.key_lag_query)[..., 0]
    held = gather(tokens[..., None], found.positions - layout.key_lag_write)[..., 0]
    allowed = found.written[:, None, :] & (found.positions[:, None, :] < batch.query_pos[..., None])
    positive = (wanted[..., None] == held[:, None, :]) & allowed
    logits = (cosines / temperature).masked_fill(~allowed, -1e4)
    each = torch.logsumexp(logits, -1) - torch.logsumexp(logits.masked_fill(~positive, -1e4), -1)
    answerable = positive.any(-1) & (batch.target >= 0)
    apart = 1 - (cosines * positive).sum(-1) / positive.sum(-1).clamp_min(1)
    return {"nce_key": mean_where(each, answerable), "key_cos": mean_where(apart, answerable)}


def key_cosines(one: Tensor, other: Tensor, dimension: int) -> Tensor:
    """Cosines (B, Q, P) of keys given as unitary spectra (B, Q, F) and (B, P, F): Parseval's theorem, D even."""
    twice = torch.full((one.shape[-1],), 2.0, device=one.device)
    twice[0] = twice[-1] = 1.0
    return torch.einsum("bqf,bpf->bqp", one * twice, other.conj()).real / dimension


def value_nce(model: NeedleModel, outputs: Outputs, found: Needles, temperature: float) -> Tensor:
    """InfoNCE of written values against the batch's true ones; the same value elsewhere is no negative."""
    chosen = found.written.flatten().nonzero()[:ANCHORS, 0]
    if not len(chosen):
        return outputs.predicted.sum() * 0
    labels = found.labels.flatten()[chosen]
    predicted = gather(outputs.predicted, found.index).flatten(0, 1)[chosen]
    logits = predicted @ model.readout.prototypes()[labels].T / temperature
    own = torch.eye(len(chosen), dtype=torch.bool, device=logits.device)
    same = (labels[:, None] == labels) & ~own
    logits = logits.masked_fill(same, -1e4)
    return cross_entropy(logits, torch.arange(len(chosen), device=logits.device))


def gate_loss(logits: Tensor, positions: Tensor) -> Tensor:
    """Binary cross-entropy of gates (B, L) with needles' positions (B, P), -1 for none; either class counts half."""
    length = logits.shape[1]
    slots = torch.where(positions >= 0, positions, length)
    true = torch.zeros(logits.shape[0], length + 1, device=logits.device).scatter(1, slots, 1.0)[:, :length]
    each = binary_cross_entropy_with_logits(logits, true, reduction="none")
    return (mean_where(each, true) + mean_where(each, 1 - true)) / 2


def bucket_terms(model: NeedleModel, outputs: Outputs, found: Needles) -> dict[str, Tensor]:
    """Entropy of keys' soft choice of a bucket, nats, and variance of the buckets' mean loads, relative to an even one.

    Softly: softmax of √D · cosines, what a choice among random directions looks like at keys of that dimension.
    """
    directions = model.memory.directions
    if not found.written.any():
        nothing = outputs.predicted.sum() * 0
        return {"address_entropy": nothing, "load_variance": nothing}
    scores = model.memory.scores(gather(outputs.encoded.writes.keys, found.index))[found.written]
    choice = torch.softmax(scores * directions.shape[1] ** 0.5, -1)
    entropy = -(choice * choice.clamp_min(1e-12).log()).sum(-1).mean()
    return {"address_entropy": entropy, "load_variance": (choice.mean(0) * len(directions)).var(correction=0)}
