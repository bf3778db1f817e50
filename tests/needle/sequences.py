"""Needle sequences for tests: noise, blocks ``S K V E``, and one question ``Q K ?`` in the last quarter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.needle.layout import Layout

NOISE, VALUES = 20, 64
START, END, ASK, QUESTION = NOISE, NOISE + 1, NOISE + 2, NOISE + 3
KEYS = NOISE + 4
LAYOUT = Layout(vocabulary=KEYS + 2 * VALUES, values=VALUES, write_token=END, query_token=QUESTION)


@dataclass(frozen=True)
class Sequences:
    tokens: Tensor
    query_pos: Tensor
    target: Tensor
    pair_pos: Tensor
    pair_key: Tensor
    pair_val: Tensor

    def rows(self, which: slice) -> Sequences:
        return replace(self, **{name: getattr(self, name)[which] for name in self.__dataclass_fields__})


def sequences(count: int, length: int = 48, pairs: int = 4, seed: int = 0, overwrite: bool = False) -> Sequences:
    """Random sequences; ``overwrite``: the first two pairs hold the key that is asked, the second value is right."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int, below: int) -> Tensor:
        return torch.randint(below, shape, generator=generator)

    tokens = draw(count, length, below=NOISE)
    blocks = (length * 3 // 4) // 4
    block = torch.rand(count, blocks, generator=generator).argsort(1)[:, :pairs].sort(1).values
    keys = torch.rand(count, VALUES, generator=generator).argsort(1)[:, :pairs]
    chosen = draw(count, 1, below=pairs)
    if overwrite:
        keys[:, 1] = keys[:, 0]
        chosen = torch.ones_like(chosen)
    values = draw(count, pairs, below=VALUES)
    start = torch.full_like(block, START)
    for lag, part in enumerate((start, KEYS + keys, KEYS + VALUES + values, torch.full_like(block, END))):
        tokens.scatter_(1, 4 * block + lag, part)
    ask = length * 3 // 4 + draw(count, 1, below=length // 4 - 2)
    for lag, asked in enumerate((ASK, KEYS + keys.gather(1, chosen), QUESTION)):
        tokens.scatter_(1, ask + lag, asked if isinstance(asked, Tensor) else torch.full_like(ask, asked))
    return Sequences(tokens, ask + 2, values.gather(1, chosen), 4 * block + 3, keys, values)
