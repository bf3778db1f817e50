"""Start the adapter in directions that stand out when facts are asked, and stay quiet in everything else.

LoRA begins with a random A: an update that learns a fact then also answers to whatever else moves along the same
random directions. Here the rows of A solve the generalised eigenproblem C_fact v = λ C_other v over each matrix's own
inputs: the r directions with the largest ratio of variance on replayed questions to variance on general rehearsal and
on the same questions about namesakes (common spatial patterns, Koles 1990; for language models compare CorDA, Yang et
al. 2024, and LoRA-Null, Tang et al. 2025).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.language.adapter import adapted_layers
from pipeline.language.curvature import Moments, input_of, sample_rows
from pipeline.language.encoding import EncodedRow, EncodedRows, batches, collate, upper_hidden
from pipeline.language.exchange import ALONE, Exchange, deal
from pipeline.language.losses import MICRO_BATCH_TOKENS
from pipeline.language.models import LanguageModel

Array = NDArray[np.float64]
DAMPING = 0.01  # of the mean eigenvalue, added to C_other, whose smallest directions no sample can tell
ROWS = 100  # questions, and their namesakes', from which a second moment is estimated


def distinctive_directions(facts: Array, other: Array, rank: int) -> Array:
    """(rank, d) directions of the largest ratio of variances, each scaled to the variance of LoRA's usual start.

    Args:
        facts: (d, d) second moments of a matrix's inputs on replayed questions.
        other: (d, d) the same on everything that facts should stand out from.
        rank: How many, at most d.

    Returns:
        Rows a with aᵀ C_fact a = trace(C_fact) / 3d, what uniform rows of variance 1 / 3d give on average.
    """
    width = len(facts)
    damped = other + DAMPING * np.trace(other) / width * np.eye(width)
    _, vectors = scipy.linalg.eigh(facts, damped, subset_by_index=[width - rank, width - 1])
    rows = vectors.T[::-1]
    power = ((rows @ facts) * rows).sum(1)
    scale = np.sqrt(np.trace(facts) / (3 * width) / np.maximum(power, np.finfo(float).tiny))
    return np.asarray(rows * scale[:, None])


def start_from_data(
    lm: LanguageModel, encoded: EncodedRows, general: Mapping[str, Moments], seed: int, exchange: Exchange = ALONE
) -> None:
    """Overwrite every A of a fresh adapter, in place; a model without questions or rehearsal keeps its random start.

    Args:
        lm: The base with a fresh adapter (B is zero, so that it still answers as the base).
        encoded: All rows of the night, their lower layers computed.
        general: Moments of general rehearsal, by the name of the adapted matrix.
        seed: Chooses the questions that estimate the covariances.
        exchange: Processes that solve some of the eigenproblems each.
    """
    asked = sample_rows(encoded.rows, "question", ROWS, seed)
    if not asked or not general:
        return
    facts, namesakes = _second_moments(lm, encoded, asked), _second_moments(lm, encoded, _namesakes(encoded, asked))
    groups: dict[str, list[str]] = defaultdict(list)
    layers = adapted_layers(lm.model)
    for name in layers:
        groups[input_of(name)].append(name)
    owners = dict(zip(groups, deal([len(facts[key]) ** 3 for key in groups], exchange.size), strict=True))
    weights = {
        key: [layers[name].lora_A[layers[name].active_adapters[0]].weight.data for name in names]
        for key, names in groups.items()
    }
    for key, names in groups.items():
        if owners[key] != exchange.rank:
            continue
        other = _square(general[names[0]].inputs) + namesakes.get(key, 0.0)
        found = distinctive_directions(facts[key], other, len(weights[key][0]))
        rows = torch.from_numpy(found)  # one basis for matrices that share an input
        for weight in weights[key]:
            weight.copy_(rows)
    for key, owner in owners.items():
        for weight in weights[key]:
            exchange.copy(weight, owner)


def _namesakes(encoded: EncodedRows, asked: Sequence[EncodedRow]) -> list[EncodedRow]:
    """The same questions about a namesake each, where there is one."""
    found = {(row.row.episode_id, row.row.form): row for row in encoded.rows if row.row.kind == "namesake"}
    keys = [(row.row.episode_id, row.row.form) for row in asked]
    return [found[key] for key in keys if key in found]


def _square(moment: Tensor) -> Array:
    found = moment.double().cpu().numpy()
    return found if found.ndim == 2 else np.diag(found)


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

    for name, module in adapted_layers(model).items():
        key = input_of(name)
        if key not in seen:
            seen.add(key)
            handles.append(module.register_forward_pre_hook(watch(key)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
