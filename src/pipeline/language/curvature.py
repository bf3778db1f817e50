"""Hold an adapter to the base on general text by the base's own curvature, without a row of that text in a step.

To second order, KL(base || base + ΔW) on a row is ½ Σ tr(ΔWᵀ G ΔW C) over the adapted matrices, if each matrix's Fisher
information is taken as the Kronecker product of C, the second moment of its inputs, and G, that of the gradients at its
outputs for labels that the base itself draws (K-FAC, Martens & Grosse 2015; against forgetting, Ritter et al. 2018).
Both are estimated once a night. Rehearsed rows say where the base has gone; this says in which directions it would.

C and G are kept as roots R, with R Rᵀ the moment. Rounded to bf16, a moment itself has directions of negative curvature
among its flat ones, and a long night finds them: there the anchor drags the adapter away. Rounded roots have none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.artifacts.footprint import return_freed_memory
from pipeline.language.adapter import adapted_layers
from pipeline.language.captured import record
from pipeline.language.encoding import EncodedRow, EncodedRows, batches, collate, thinned, upper_logits
from pipeline.language.exchange import ALONE, Exchange, deal
from pipeline.language.losses import MICRO_BATCH_TOKENS
from pipeline.language.models import LanguageModel
from pipeline.language.rows import GENERAL

ROWS = 64  # of each kind of rehearsal, from which moments are estimated: with few, an adapter slips between them
FAINT = 0.1  # of the mean |g|²; tokens below it hold a hundredth of all gradients, and cost as much as others
WIDEST = 4096  # of a matrix wider than this only the diagonal of a moment is kept
SHARED = {"q_proj": "qkv", "k_proj": "qkv", "v_proj": "qkv", "gate_proj": "mlp", "up_proj": "mlp"}
"""Matrices of one layer that read the same input."""


@dataclass(frozen=True)
class Moments:
    """Of one matrix on general rehearsal, over tokens with input x and output gradient g.

    Attributes:
        inputs: (in, in) mean of x xᵀ, or its (in,) diagonal; matrices that read the same input share it.
        outputs: (out, out) sum of g gᵀ per row, or its (out,) diagonal.
    """

    inputs: Tensor
    outputs: Tensor


@dataclass(frozen=True)
class _Term:
    """One adapted matrix: A (r, in), B (out, r), its update's squared scale, the root of its outputs' moment."""

    a: Tensor
    b: Tensor
    scale: float
    outputs: Tensor


class CurvatureAnchor:
    """The quadratic form of a night, never negative; its large products run in the model's number format.

    Args:
        lm: The base with its adapter attached.
        moments: By the name of the adapted matrix; without any the form is zero.
        exchange: Processes that share the form: each has the terms of some matrices, and their sum is the form.
    """

    def __init__(self, lm: LanguageModel, moments: Mapping[str, Moments], exchange: Exchange = ALONE) -> None:
        self._groups: dict[
            str, tuple[Tensor, list[_Term]]
        ] = {}  # root of a shared input's moment, and the matrices that read it
        own = _own_inputs(moments, exchange)
        for name, module in adapted_layers(lm.model).items() if moments else ():
            (adapter,) = module.active_adapters
            a, b = module.lora_A[adapter].weight, module.lora_B[adapter].weight
            key = input_of(name)
            if key not in own:
                continue
            if key not in self._groups:
                self._groups[key] = (_root(moments[name].inputs).to(lm.dtype), [])
            outputs = _root(moments[name].outputs).to(lm.dtype)
            self._groups[key][1].append(_Term(a, b, module.scaling[adapter] ** 2, outputs))

        self._on_gpu = lm.device.type == "cuda"
        self._recorded: dict[float, tuple[Any, Tensor]] = {}  # graph and form, by weight

    @torch.no_grad()
    def add_gradients(self, weight: float) -> Tensor:
        """Add ``weight`` times the form's gradient to that of every A and B, and return the form: nats per row.

        It has to be the gradient at the present weights: in the form's steep directions an older one overshoots.
        """
        if not self._groups:
            return torch.zeros(())
        if not self._on_gpu:
            return self._add(weight)
        if weight not in self._recorded:
            self._recorded[weight] = record(lambda: self._add(weight), lambda: self._add(0.0))
        graph, form = self._recorded[weight]
        graph.replay()
        return form.clone()  # a tensor, so that nobody waits for it

    def _add(self, weight: float) -> Tensor:
        parts: list[Tensor] = []
        for inputs, terms in self._groups.values():
            rooted = torch.split(_times(torch.cat([t.a for t in terms]), inputs), [len(t.a) for t in terms])
            steep: list[Tensor] = []
            for term, a_root in zip(terms, rooted, strict=True):
                b_root = _times(term.b.t(), term.outputs)
                inner, outer = a_root @ a_root.t(), b_root @ b_root.t()  # (r, r) both
                steep.append(weight * term.scale * outer @ a_root)
                _accumulate(term.b, _times(inner @ b_root, _flipped(term.outputs)).t(), weight * term.scale)
                parts.append(0.5 * term.scale * (inner * outer).sum())
            gradients = _times(torch.cat(steep), _flipped(inputs))
            for term, gradient in zip(terms, torch.split(gradients, [len(t.a) for t in terms]), strict=True):
                _accumulate(term.a, gradient, 1.0)
        return torch.stack(parts).sum()


def _own_inputs(moments: Mapping[str, Moments], exchange: Exchange) -> set[str]:
    """The inputs whose matrices are this process's; the work for each goes by the numbers in its moments."""
    costs: Counter[str] = Counter()
    for name, moment in moments.items():
        costs[input_of(name)] += moment.inputs.numel() + moment.outputs.numel()
    owners = deal(list(costs.values()), exchange.size)
    return {key for key, owner in zip(costs, owners, strict=True) if owner == exchange.rank}


def _accumulate(parameter: Tensor, gradient: Tensor, weight: float) -> None:
    parameter.grad = weight * gradient if parameter.grad is None else parameter.grad.add_(gradient, alpha=weight)


def _times(rows: Tensor, root: Tensor) -> Tensor:
    rounded = rows.to(root.dtype)
    return (rounded @ root if root.dim() == 2 else rounded * root).to(rows.dtype)


def _flipped(root: Tensor) -> Tensor:
    return root.t() if root.dim() == 2 else root


def _root(moment: Tensor) -> Tensor:
    """R with R Rᵀ = moment, float32; element by element where only the diagonal is kept."""
    if moment.dim() == 1:
        return moment.clamp_min(0).sqrt()
    values, vectors = torch.linalg.eigh(moment)
    root: Tensor = vectors * values.clamp_min(0).sqrt()
    return root


def general_moments(lm: LanguageModel, encoded: EncodedRows, seed: int, every: int = 1) -> dict[str, Moments]:
    """Moments of every adapted matrix in the base, by name; empty for a night without rows that no fact brought.

    Those are general rehearsal, and memory prompts about strangers: reading is general as well.

    Args:
        lm: The base with its adapter attached, which is left out here.
        encoded: All rows of the night, their lower layers computed.
        seed: Chooses rows, and the label at each asked position, drawn from the base.
        every: Of long replies and dreams, labels are drawn at one position in so many.
    """
    untaught = [row for row in encoded.rows if not row.row.episode_id]
    rows = [
        thinned(row, every, place) if kind in ("long", "text") else row
        for kind in (*GENERAL, "memory")
        for place, row in enumerate(sample_rows(untaught, kind, ROWS, seed))
    ]
    generator = torch.Generator(lm.device).manual_seed(seed)
    modules = adapted_layers(lm.model)
    sums = _Sums()
    with _base_alone(modules.values()), _watched(modules, sums):
        for members in batches(encoded, rows, MICRO_BATCH_TOKENS[lm.device.type]):
            return_freed_memory()  # of the batch before, which had another size: these few batches are the night's peak
            batch = collate(encoded, members)
            batch.hidden.requires_grad_(True)
            log_probs = torch.log_softmax(upper_logits(lm, encoded, batch), dim=-1)
            drawn = log_probs.gather(1, _drawn(log_probs.detach(), generator))[:, 0]
            # Labels are drawn apart, so that the squared gradient of Σ log p / √n has the Fisher matrices' mean.
            parts = torch.split(drawn, [len(row.targets) for row in batch.rows])
            torch.stack([part.sum() / len(part) ** 0.5 for part in parts]).sum().backward()  # type: ignore[no-untyped-call]
    inputs = {key: total / sums.tokens[key] for key, total in sums.inputs.items()}
    return {name: Moments(inputs[input_of(name)], total / len(rows)) for name, total in sums.outputs.items()}


def input_of(name: str) -> str:
    """Which input a matrix reads: its layer, and the group of matrices that share it."""
    layer, matrix = name.rsplit(".", 1)[0].split(".layers.")[-1].split(".")[0], name.rsplit(".", 1)[-1]
    return f"{layer}/{SHARED.get(matrix, matrix)}"


def sample_rows(rows: Sequence[EncodedRow], kind: str, count: int, seed: int) -> list[EncodedRow]:
    """At most ``count`` trained rows of a kind, chosen by the seed."""
    rows = [row for row in rows if row.row.kind == kind and row.row.split == "train"]
    return [rows[i] for i in np.random.default_rng([seed, 6]).permutation(len(rows))[:count]]


def _drawn(log_probs: Tensor, generator: torch.Generator) -> Tensor:
    """(M, 1) a token of each distribution of (M, vocabulary), by inversion: one number a row, not one a token."""
    reached = log_probs.exp().cumsum(-1)
    mark = torch.rand(len(reached), 1, generator=generator, device=reached.device) * reached[:, -1:]
    return torch.searchsorted(reached, mark).clamp_max(reached.shape[1] - 1)


class _Sums:
    """Sums over tokens of x xᵀ by input, of g gᵀ by matrix, and how many tokens had each input."""

    def __init__(self) -> None:
        self.inputs: dict[str, Tensor] = {}
        self.outputs: dict[str, Tensor] = {}
        self.tokens: Counter[str] = Counter()

    def add_inputs(self, key: str, x: Tensor) -> None:
        """Take in tokens (N, in)."""
        x = x.float()
        _add(self.inputs, key, _moment(x))
        self.tokens[key] += len(x)

    def add_gradients(self, name: str, gradient: Tensor) -> None:
        """Take in tokens (N, out); the faint ones are left out."""
        gradient = gradient.float()
        power = gradient.square().sum(1)
        _add(self.outputs, name, _moment(gradient[power > FAINT * power.mean()]))


def _add(sums: dict[str, Tensor], key: str, value: Tensor) -> None:
    sums[key] = value if key not in sums else sums[key].add_(value)


def _moment(rows: Tensor) -> Tensor:
    """(d, d) Σ r rᵀ, or its (d,) diagonal where d is large."""
    return rows.t() @ rows if rows.shape[1] <= WIDEST else rows.square().sum(0)


@contextmanager
def _base_alone(modules: Iterable[Any]) -> Iterator[None]:
    """Within the block, the modules leave their adapter out."""
    for module in modules:
        module.enable_adapters(False)
    try:
        yield
    finally:
        for module in modules:
            module.enable_adapters(True)


@contextmanager
def _watched(modules: Mapping[str, Any], sums: _Sums) -> Iterator[None]:
    """Within the block, a forward and backward pass adds every module's inputs and output gradients to the sums."""

    def watch(name: str, key: str | None) -> Any:
        def hook(_: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if key is not None:
                sums.add_inputs(key, inputs[0].detach().reshape(-1, inputs[0].shape[-1]))
            hooked: Any = output
            hooked.register_hook(lambda g: sums.add_gradients(name, g.reshape(-1, g.shape[-1])))

        return hook

    first: dict[str, str] = {}  # of the matrices that share an input
    for name in modules:
        first.setdefault(input_of(name), name)
    handles = [
        module.register_forward_hook(watch(name, input_of(name) if first[input_of(name)] == name else None))
        for name, module in modules.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
