"""What a task of the flow ``needle`` is: examples by (seed, split, index), and what their tokens mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.config.needle_task import DataConfig
from pipeline.needle.tasks.counters import Integers, Words, streams

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
_CHUNK = 1 << 21  # tokens that are made at once


@dataclass(frozen=True)
class Examples:
    """Sequences with what they tell and ask; -1 stands where there is none.

    Attributes:
        example_id: Index in the split, int64 (B,).
        tokens: uint16 (B, L).
        query_pos: Positions where an answer is due, int32 (B, Q).
        target: The answers' classes, int32 (B, Q).
        query_pair: Which pair holds the answer, an index into the next three, int32 (B, Q).
        pair_pos: Positions of the value tokens of all pairs, in order, int32 (B, P).
        pair_key: Numbers of their keys, from 0, int32 (B, P).
        pair_val: Classes of their values, int32 (B, P).
        tokens_used: Tokens before padding, int32 (B,).
    """

    example_id: Integers
    tokens: NDArray[np.uint16]
    query_pos: NDArray[np.int32]
    target: NDArray[np.int32]
    query_pair: NDArray[np.int32]
    pair_pos: NDArray[np.int32]
    pair_key: NDArray[np.int32]
    pair_val: NDArray[np.int32]
    tokens_used: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.tokens)

    def rows(self, which: Integers | slice) -> Self:
        """Some of them, in the order given."""
        return type(self)(**{field.name: getattr(self, field.name)[which] for field in fields(self)})

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """All rows of parts of equal shapes, one after another."""
        return cls(**{field.name: np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(cls)})


class Task(ABC):
    """One task with its configuration.

    Args:
        config: Section ``data``.

    Attributes:
        vocab_size: Token ids that there are.
        classes: Answers that there are.
        ids: Token ids of marks, and where keys, values or digits begin, by name.
        layout: What a model may know of the task: ``vocabulary``, ``values``; the ``write_token`` that marks a write
            and the ``query_token`` that asks, None if there is none; tokens from a key to the position that writes it,
            ``key_lag_write``, and to the one that asks for it, ``key_lag_query``; and from ``pair_pos`` to the position
            that writes the pair, ``write_offset``.
    """

    vocab_size: int
    classes: int
    ids: Mapping[str, int]
    layout: Mapping[str, int | None]

    def __init__(self, config: DataConfig) -> None:
        self.config = config

    @abstractmethod
    def make(self, own: Words, split: Split) -> Examples:
        """Examples of some streams (B,); ``example_id`` is filled in by `examples`."""

    def size(self, split: Split) -> int:
        """How many examples a split has."""
        return {"train": self.config.train_size, "val": self.config.val_size, "test": self.config.test_size}[split]

    def examples(self, seed: int, split: Split, indices: Integers | None = None) -> Examples:
        """Examples of a split; each depends on seed, split and its own index alone.

        Args:
            seed: The flow's.
            split: Splits share no example.
            indices: Which, shape (B,), not negative and not bound by the split's size; None is the whole split.
        """
        wanted = np.arange(self.size(split)) if indices is None else np.asarray(indices, np.int64)
        step = max(1, _CHUNK // self.config.length)
        parts = []
        for start in range(0, max(1, len(wanted)), step):
            some = wanted[start : start + step]
            made = self.make(streams(seed, SPLITS.index(split), some), split)
            made.example_id[:] = some
            parts.append(made)
        return Examples.joined(parts)
