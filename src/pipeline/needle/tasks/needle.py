"""Needles in noise: pairs ``<S> key value <E>`` in the first three quarters, ``<Q> key ?`` in the last one.

Token ids: noise, the marks S, E, Q and ?, keys, values. Every pair is told the same way, whether it is asked or not, so
a memory has to store them all. With ``overwrites`` a key is told again with another value, and the last one holds.
``distractors`` are pairs under the free keys next to a needle's that nobody asks for.
"""

from __future__ import annotations

import numpy as np

from pipeline.config.needle_task import DataConfig
from pipeline.needle.tasks.counters import Integers, Words, below, distinct, placed, substreams, words
from pipeline.needle.tasks.registry import TASKS
from pipeline.needle.tasks.task import Examples, Split, Task

_NOISE, _PLACES, _QUERIES, _KEYS, _VALUES, _ORDER, _ASKED, _SIDES, _SHIFTS = range(9)  # substreams of an example


@TASKS.register("needle")
class Needle(Task):
    """The needle task of the document; classes are values, chance is 1/num_values."""

    def __init__(self, config: DataConfig) -> None:
        super().__init__(config)
        noise = config.vocab_extra
        keys = noise + 4
        values = keys + config.num_values
        marks = {name: noise + number for number, name in enumerate(("start", "end", "query", "ask"))}
        self.ids = marks | {"keys": keys, "values": values}
        self.vocab_size, self.classes = values + config.num_values, config.num_values
        self.layout = {
            "vocabulary": self.vocab_size,
            "values": self.classes,
            "write_token": self.ids["end"],
            "query_token": self.ids["ask"],
            "key_lag_write": 2,
            "key_lag_query": 1,
            "write_offset": 1,
        }

    def make(self, own: Words, split: Split) -> Examples:
        config, ids, rows = self.config, self.ids, np.arange(len(own))[:, None]
        tokens = below(words(substreams(own, _NOISE)[:, None], np.arange(config.length)[None]), config.vocab_extra)
        told = 3 * config.length // 4
        starts = placed(substreams(own, _PLACES), told, config.blocks, 4)  # (B, P)
        keys, values, holding = self._pairs(own)
        tokens[rows, starts], tokens[rows, starts + 3] = ids["start"], ids["end"]
        tokens[rows, starts + 1], tokens[rows, starts + 2] = ids["keys"] + keys, ids["values"] + values
        asked = told + placed(substreams(own, _QUERIES), config.length - told, config.n_queries, 3)  # (B, Q)
        needle = distinct(substreams(own, _ASKED), config.n_pairs, config.n_queries)
        pair = np.take_along_axis(holding, needle, 1)
        tokens[rows, asked], tokens[rows, asked + 2] = ids["query"], ids["ask"]
        tokens[rows, asked + 1] = ids["keys"] + np.take_along_axis(keys, pair, 1)
        return Examples(
            example_id=np.zeros(len(own), np.int64),
            tokens=tokens.astype(np.uint16),
            query_pos=(asked + 2).astype(np.int32),
            target=np.take_along_axis(values, pair, 1).astype(np.int32),
            query_pair=pair.astype(np.int32),
            pair_pos=(starts + 2).astype(np.int32),
            pair_key=keys.astype(np.int32),
            pair_val=values.astype(np.int32),
            tokens_used=np.full(len(own), config.length, np.int32),
        )

    def _pairs(self, own: Words) -> tuple[Integers, Integers, Integers]:
        """Keys and values of all blocks in order (B, P), and the last block of each needle's key (B, n_pairs)."""
        config, count = self.config, len(own)
        needles, blocks = config.n_pairs, config.blocks
        keys = distinct(substreams(own, _KEYS), config.num_values, needles)
        which = np.arange(needles + config.overwrites) % needles  # the needle that a block tells
        told = np.concatenate([keys[:, which], self._near(own, keys)], 1)  # before they are shuffled
        values = below(words(substreams(own, _VALUES)[:, None], np.arange(blocks)[None]), config.num_values)
        if config.overwrites:
            again = np.arange(config.overwrites)
            own_shifts = words(substreams(own, _SHIFTS)[:, None], np.arange(needles)[None]).ravel()
            times = -(-config.overwrites // needles)
            shifts = 1 + distinct(own_shifts, config.num_values - 1, times).reshape(count, needles, times)
            moved = values[:, again % needles] + shifts[:, again % needles, again // needles]
            values[:, needles + again] = moved % config.num_values  # other than all that its key was told before
        order = words(substreams(own, _ORDER)[:, None], np.arange(blocks)[None]).argsort(1, kind="stable")
        keys_in_order, values_in_order = np.take_along_axis(told, order, 1), np.take_along_axis(values, order, 1)
        last = np.zeros((count, needles), np.int64)
        for block in range(blocks):
            last = np.where(keys_in_order[:, block, None] == keys, block, last)
        return keys_in_order, values_in_order, last

    def _near(self, own: Words, keys: Integers) -> Integers:
        """Keys of distractors (B, distractors): of the free ones, the nearest to a needle's, either side first."""
        config, every = self.config, np.arange(self.config.num_values)
        free = np.ones((len(own), config.num_values), bool)
        np.put_along_axis(free, keys, False, 1)
        near = np.empty((len(own), config.distractors), np.int64)
        for number in range(config.distractors):
            above = (every - keys[:, number % config.n_pairs, None]) % config.num_values  # (B, V), in a circle
            below_it = config.num_values - above
            side = below(words(substreams(own, _SIDES), np.full(len(own), number)), 2)[:, None]
            distance = np.minimum(2 * above - side, 2 * below_it - (1 - side))
            near[:, number] = np.where(free, distance, 4 * config.num_values).argmin(1)
            np.put_along_axis(free, near[:, number, None], False, 1)
        return near
