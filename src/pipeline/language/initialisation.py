"""Start the adapter in directions that stand out when facts are asked, and stay quiet in everything else.

LoRA begins with a random A: an update that learns a fact then also answers to whatever else moves along the same
random directions. Here the rows of A solve the generalised eigenproblem C_fact v = λ C_general v over each matrix's own
inputs: the r directions with the largest ratio of variance on replayed questions to variance on general rehearsal
(common spatial patterns, Koles 1990; for language models compare CorDA, Yang et al. 2024, and LoRA-Null, Tang et al.
2025).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.language.encoding import EncodedRow, EncodedRows, batches, collate, upper_hidden
from pipeline.language.losses import MICRO_BATCH_TOKENS
from pipeline.language.models import LanguageModel
from pipeline.language.rows import GENERAL

Array = NDArray[np.float64]
DAMPING = 0.01  # of the mean eigenvalue, added to C_general, whose smallest directions no sample can tell
ROWS = 50  # questions, and rows of each kind of rehearsal, from which the covariances are estimated
SHARED = {"q_proj": "qkv", "k_proj": "qkv", "v_proj": "qkv", "gate_proj": "mlp", "up_proj": "mlp"}
"""Matrices of one layer that read the same input share one covariance and one basis."""


def distinctive_directions(facts: Array, general: Array, rank: int) -> Array:
    """(rank, d) directions of largest fact-to-general variance, each scaled to the variance of LoRA's usual start.

    Args:
        facts: (d, d) second moments of a matrix's inputs on replayed questions.
        general: (d, d) the same on general rehearsal.
        rank: How many, at most d.

    Returns:
        Rows a with aᵀ C_fact a = trace(C_fact) / 3d, what uniform rows of variance 1 / 3d give on average.
    """
    width = len(facts)
    damped = general + DAMPING * np.trace(general) / width * np.eye(width)
    _, vectors = scipy.linalg.eigh(facts, damped, subset_by_index=[width - rank, width - 1])
    rows = vectors.T[::-1]
    power = np.einsum("rd,de,re->r", rows, facts, rows)
    scale = np.sqrt(np.trace(facts) / (3 * width) / np.maximum(power, np.finfo(float).tiny))
    return np.asarray(rows * scale[:, None])


def start_from_data(lm: LanguageModel, encoded: EncodedRows, seed: int) -> None:
    """Overwrite every A of a fresh adapter, in place; a model without questions or rehearsal keeps its random start.

    Args:
        lm: The base with a fresh adapter (B is zero, so that it still answers as the base).
        encoded: All rows of the night, their lower layers computed.
        seed: Chooses the rows that estimate the covariances.
    """
    asked = _sample(encoded, ("question",), seed)
    general = [row for kind in (*GENERAL, "unknown") for row in _sample(encoded, (kind,), seed)]
    if not asked or not general:
        return
    moments = [_second_moments(lm, encoded, rows) for rows in (asked, general)]
    bases: dict[str, Tensor] = {}
    for name, module in _adapted(lm.model):
        (adapter,) = module.active_adapters
        weight = module.lora_A[adapter].weight
        key = _input_of(name)
        if key not in bases:
            bases[key] = torch.from_numpy(distinctive_directions(moments[0][key], moments[1][key], len(weight)))
        weight.data.copy_(bases[key])


def _sample(encoded: EncodedRows, kinds: Sequence[str], seed: int) -> list[EncodedRow]:
    rows = [row for row in encoded.rows if row.row.kind in kinds and row.row.split == "train"]
    return [rows[i] for i in np.random.default_rng([seed, 6]).permutation(len(rows))[:ROWS]]


def _adapted(model: Any) -> list[tuple[str, Any]]:
    from peft.tuners.lora import Linear

    return [(name, module) for name, module in model.named_modules() if isinstance(module, Linear)]


def _input_of(name: str) -> str:
    """Which input a matrix reads: its layer, and the group of matrices that share it."""
    layer, matrix = name.rsplit(".", 1)[0].split(".layers.")[-1].split(".")[0], name.rsplit(".", 1)[-1]
    return f"{layer}/{SHARED.get(matrix, matrix)}"


@torch.no_grad()
def _second_moments(lm: LanguageModel, encoded: EncodedRows, rows: Sequence[EncodedRow]) -> dict[str, Array]:
    """Mean of x xᵀ over the rows' own tokens, prefixes left out, for every input of an adapted matrix."""
    sums: dict[str, Tensor] = {}
    count = 0
    for members in batches(encoded, rows, MICRO_BATCH_TOKENS[lm.device.type]):
        batch = collate(encoded, members)
        with _watched(lm.model, batch.packing.own, sums):
            upper_hidden(lm, encoded, batch, narrow=False)
        count += len(batch.packing.own)
    return {key: (total / count).double().cpu().numpy() for key, total in sums.items()}


@contextmanager
def _watched(model: Any, own: Tensor, sums: dict[str, Tensor]) -> Iterator[None]:
    """Within the block, add every adapted matrix's inputs at the tokens ``own`` to ``sums``, once per shared input."""
    handles = []
    seen: set[str] = set()

    def watch(key: str) -> Any:
        def hook(_: Any, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].index_select(0, own).float()
            sums[key] = sums.get(key, torch.zeros(x.shape[1], x.shape[1], device=x.device)) + x.t() @ x

        return hook

    for name, module in _adapted(model):
        key = _input_of(name)
        if key not in seen:
            seen.add(key)
            handles.append(module.register_forward_pre_hook(watch(key)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
