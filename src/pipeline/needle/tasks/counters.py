"""Random numbers by counter: word j of a stream is a function of the stream and j, whatever else was drawn.

SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2714064.2660195). NumPy's generators draw one stream after another;
here a call draws word j of many streams at once, so that an example does not depend on the batch it is made in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(words: Words) -> Words:
    """SplitMix64's finaliser: a bijection of 64-bit words, any shape."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def words(streams: Words, counters: Integers) -> Words:
    """Word ``counters`` of ``streams``, counted from 0; shapes broadcast, at least one dimension."""
    return mix(streams + (counters.astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def streams(seed: int, split: int, indices: Integers) -> Words:
    """One stream for each example.

    Args:
        seed: The flow's, not negative.
        split: Number of the split.
        indices: Of the examples in it, shape (B,).
    """
    own = words(np.array([seed], np.uint64), np.array([split]))
    return words(own, indices)


def substreams(parents: Words, number: int) -> Words:
    """A stream of its own for one purpose of an example: streams of other numbers share no words with it."""
    return mix(words(parents, np.full(parents.shape, number)))


def below(drawn: Words, bound: int | Integers) -> Integers:
    """Integers from 0 to ``bound - 1``, bounds up to 2^31; each is off its share by 2^-32 times ``bound`` at most."""
    return (((drawn >> np.uint64(32)) * np.asarray(bound, np.uint64)) >> np.uint64(32)).astype(np.int64)


def uniform(drawn: Words) -> NDArray[np.float64]:
    """Numbers above 0 and at most 1."""
    return ((drawn >> np.uint64(11)) + np.uint64(1)).astype(np.float64) * 2.0**-53


def distinct(own: Words, bound: int, count: int) -> Integers:
    """Different integers from 0 to ``bound - 1`` in random order, ``count`` of each stream: Floyd's algorithm.

    Args:
        own: Streams, shape (B,).
        bound: How many integers there are.
        count: How many are drawn, at most ``bound``.

    Returns:
        Shape (B, count).
    """
    chosen = np.full((len(own), count), -1, np.int64)
    for number in range(count):
        last = bound - count + number
        drawn = below(words(own, np.full(len(own), number)), last + 1)
        taken = (chosen[:, :number] == drawn[:, None]).any(1)
        chosen[:, number] = np.where(taken, last, drawn)
    order = words(own[:, None], count + np.arange(count)[None]).argsort(1, kind="stable")
    return np.take_along_axis(chosen, order, 1)


def placed(own: Words, space: int, count: int, width: int) -> Integers:
    """Where blocks that do not overlap start: every placement is equally likely.

    Args:
        own: Streams, shape (B,).
        space: Positions that there are.
        count: Blocks, of ``width`` positions each; they fit.

    Returns:
        Sorted starts, shape (B, count).
    """
    gaps = np.sort(distinct(own, space - (width - 1) * count, count), axis=1)
    return gaps + (width - 1) * np.arange(count)
