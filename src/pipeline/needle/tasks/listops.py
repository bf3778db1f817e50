"""ListOps: the value of nested MIN, MAX, MED and SUM_MOD over digits, the brackets kept as tokens.

Nangia & Bowman 2018 (arXiv:1804.06028), with the distribution of the Long Range Arena (Tay et al. 2020,
arXiv:2011.04006): a node is an operator with probability 1/4, has 2 to ``max_args`` arguments, and trees outside the
range of lengths are thrown away; nothing else is, so that within the range lengths are as common as trees make them.
Of 500 to 2,000 tokens, ten levels deep, one tree in three is kept, a tenth is shorter than 577 and a tenth longer than
1,650, the median is 966; of 4 to 128, four levels deep, the median is 28. The commonest answer, 0 or 9, is right for 15
to 18 %. An expression belongs to one split for good, by its hash: splits share none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.config.needle_task import DataConfig
from pipeline.errors import DataError
from pipeline.needle.tasks.counters import Integers, Words, below, mix, substreams, words
from pipeline.needle.tasks.registry import TASKS
from pipeline.needle.tasks.task import Examples, Split, Task
from pipeline.needle.tasks.trees import (
    CLOSE,
    FIRST_DIGIT,
    FIRST_OPERATOR,
    OPERATORS,
    grown,
    measured,
    written,
)

PAD, ASK = 0, 1
_ATTEMPTS = 4096  # trees that are tried for an example
_NODES = 1 << 21  # nodes that are grown at once, about
_SHARES: dict[Split, tuple[int, ...]] = {"train": (0, 1), "val": (2,), "test": (3,)}  # of four hash values

Tokens = NDArray[np.uint16]


class _Found(NamedTuple):
    """Expressions: their rows (N,), tokens (N, L), values (N,) and lengths (N,)."""

    rows: Integers
    tokens: Tokens
    values: Integers
    lengths: Integers


@TASKS.register("listops")
class ListOps(Task):
    """One question a sequence: what the expression before ``?`` comes to, one of ten classes."""

    def __init__(self, config: DataConfig) -> None:
        super().__init__(config)
        self.vocab_size, self.classes = FIRST_DIGIT + 10, 10
        operators = {f"[{name}": FIRST_OPERATOR + number for number, name in enumerate(OPERATORS)}
        self.ids = {"pad": PAD, "ask": ASK, "]": CLOSE, "digits": FIRST_DIGIT} | operators
        self.layout = {
            "vocabulary": self.vocab_size,
            "values": self.classes,
            "write_token": None,
            "query_token": ASK,
            "key_lag_write": 0,
            "key_lag_query": 0,
            "write_offset": 0,
        }

    def make(self, own: Words, split: Split) -> Examples:
        count, none = len(own), np.zeros((len(own), 0), np.int32)
        tokens = np.full((count, self.config.length), PAD, np.uint16)
        target, used, waiting, tried = np.zeros(count, np.int32), np.zeros(count, np.int32), np.arange(count), 0
        while len(waiting) and tried < _ATTEMPTS:
            attempts = np.arange(tried, tried + min(2 + tried, 32))  # how many at once changes no result
            step = max(1, _NODES // (min(512, self.config.listops.max_length) * len(attempts)))
            left = []
            for some in (waiting[start : start + step] for start in range(0, len(waiting), step)):
                found = self._first(own[some], attempts, split)
                rows = some[found.rows]
                tokens[rows], target[rows], used[rows] = found.tokens, found.values, found.lengths + 1
                left.append(np.delete(some, found.rows))
            waiting, tried = np.concatenate(left), tried + len(attempts)
        if len(waiting):
            ranges = self.config.listops
            raise DataError(
                f"{len(waiting)} of {count} examples found no tree of listops.min_length={ranges.min_length} to "
                f"max_length={ranges.max_length} in {tried} attempts at max_depth={ranges.depth}: widen the range, or "
                "set another max_depth (null fits it) or max_args"
            )
        tokens[np.arange(count), used - 1] = ASK
        return Examples(
            example_id=np.zeros(count, np.int64),
            tokens=tokens,
            query_pos=used[:, None] - 1,
            target=target[:, None],
            query_pair=np.full((count, 1), -1, np.int32),
            pair_pos=none,
            pair_key=none,
            pair_val=none,
            tokens_used=used,
        )

    def _first(self, own: Words, attempts: Integers, split: Split) -> _Found:
        """Of each stream the first of some attempts that has a fitting length and belongs to the split."""
        ranges = self.config.listops
        tries = words(substreams(own, 0)[:, None], attempts[None]).ravel()
        levels = grown(tries, ranges.depth, ranges.max_args, ranges.max_length)
        sizes, values = measured(levels)
        fits = np.flatnonzero(sizes[0] >= ranges.min_length)
        tokens = written(levels, sizes, fits, self.config.length)
        mine = np.flatnonzero(np.isin(_hashed(tokens), _SHARES[split]))
        rows, first = np.unique(levels[0].tree[fits[mine]] // len(attempts), return_index=True)
        chosen = mine[first]
        return _Found(rows, tokens[chosen], values[0][fits[chosen]], sizes[0][fits[chosen]])


def _hashed(tokens: Tokens) -> Integers:
    """One of four values for each row (N, L), by its tokens alone; padding changes nothing."""
    factors = words(np.zeros(1, np.uint64), np.arange(tokens.shape[1])) | np.uint64(1)
    return below(mix((tokens * factors).sum(1, dtype=np.uint64)), 4)
