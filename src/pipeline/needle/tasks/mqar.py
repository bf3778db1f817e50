"""Multi-query associative recall as in Zoology: all pairs first, then their keys at power-law distances.

Keys are drawn from 1 to V/2 - 1, values from V/2 to V - 1, none twice in a sequence. The gap between the pairs and a
key's query has P(gap) ~ gap^(a-1); the answer is due at the key itself. Between queries stand random tokens of the
whole vocabulary, as there, which may happen to be keys. Arora et al. 2023, arXiv:2312.04927, appendix.
"""

from __future__ import annotations

import numpy as np

from pipeline.config.needle_task import DataConfig
from pipeline.needle.tasks.counters import Words, below, distinct, substreams, uniform, words
from pipeline.needle.tasks.registry import TASKS
from pipeline.needle.tasks.task import Examples, Split, Task

_FILL, _KEYS, _VALUES, _GAPS = range(4)  # substreams of an example


@TASKS.register("mqar")
class Mqar(Task):
    """Every key of a sequence is asked once; classes are values, counted from V/2."""

    def __init__(self, config: DataConfig) -> None:
        super().__init__(config)
        half = config.mqar.vocab_size // 2
        self.vocab_size, self.classes = config.mqar.vocab_size, config.mqar.vocab_size - half
        self.ids = {"keys": 1, "values": half}
        self.layout = {
            "vocabulary": self.vocab_size,
            "values": self.classes,
            "write_token": None,
            "query_token": None,
            "key_lag_write": 1,
            "key_lag_query": 0,
            "write_offset": 0,
        }

    def make(self, own: Words, split: Split) -> Examples:
        config, pairs, half, count = self.config, self.config.n_pairs, self.ids["values"], len(own)
        keys = distinct(substreams(own, _KEYS), half - 1, pairs)  # (B, P)
        values = distinct(substreams(own, _VALUES), self.classes, pairs)
        query_pos = 2 * pairs + 2 * self._gaps(own)
        tokens = np.zeros((count, config.length), np.int64)
        if config.mqar.random_non_queries:
            drawn = words(substreams(own, _FILL)[:, None], np.arange(config.length)[None])
            tokens = below(drawn, config.mqar.vocab_size)
        tokens[:, 0 : 2 * pairs : 2], tokens[:, 1 : 2 * pairs : 2] = keys + 1, values + half
        np.put_along_axis(tokens, query_pos, keys + 1, 1)
        every = np.broadcast_to(np.arange(pairs, dtype=np.int32), keys.shape)
        return Examples(
            example_id=np.zeros(count, np.int64),
            tokens=tokens.astype(np.uint16),
            query_pos=query_pos.astype(np.int32),
            target=values.astype(np.int32),
            query_pair=every,
            pair_pos=2 * every + 1,
            pair_key=keys.astype(np.int32),
            pair_val=values.astype(np.int32),
            tokens_used=np.full(count, config.length, np.int32),
        )

    def _gaps(self, own: Words) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """Half the distance of each pair's query from the end of the pairs, (B, P), none twice.

        Drawing without replacement by weights is a race: the smallest of exponential times over weights come first.
        """
        space = (self.config.length - 2 * self.config.n_pairs) // 2
        weights = np.arange(1, space + 1) ** (self.config.mqar.power_a - 1)
        drawn = uniform(words(substreams(own, _GAPS)[:, None], np.arange(space)[None]))
        times = -np.log(drawn) / weights
        first = np.argpartition(times, self.config.n_pairs - 1, axis=1)[:, : self.config.n_pairs]
        order = np.take_along_axis(times, first, 1).argsort(1, kind="stable")
        return np.take_along_axis(first, order, 1)
