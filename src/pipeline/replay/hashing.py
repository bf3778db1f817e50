"""Random numbers that belong to an item, not to its place in a table: the same on any machine and thread count.

splitmix64 is the finaliser of Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", with
the constants of Vigna's reference code (https://prng.di.unimi.it/splitmix64.c).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def splitmix64(states: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output of splitmix64 for each state, same shape; arithmetic is modulo 2**64."""
    with np.errstate(over="ignore"):
        z = np.asarray(states, dtype=np.uint64) + _GAMMA
        z = (z ^ (z >> np.uint64(30))) * _FIRST
        z = (z ^ (z >> np.uint64(27))) * _SECOND
        return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)


def hash_ids(ids: Sequence[str]) -> NDArray[np.uint64]:
    """A stable 64-bit hash of each id: the first eight bytes of BLAKE2b, little endian; shape (n,)."""
    digests = (hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest() for name in ids)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def uniforms(ids: NDArray[np.uint64], *stream: int) -> NDArray[np.float64]:
    """One number in the open interval (0, 1) for each hashed id, shape (n,).

    Args:
        ids: Hashed ids, shape (n,), uint64.
        stream: Integers that name an independent stream, such as (seed, night, cycle).
    """
    state = np.zeros(1, dtype=np.uint64)
    for part in stream:
        state = splitmix64(state ^ np.uint64(part % 2**64))
    bits = splitmix64(splitmix64(ids ^ state)) >> np.uint64(11)  # 53 bits
    return (bits.astype(np.float64) + 0.5) * 2.0**-53


def normals(ids: NDArray[np.uint64], *stream: int) -> NDArray[np.float64]:
    """One standard normal number for each hashed id, shape (n,), by Box and Muller 1958."""
    radius = np.sqrt(-2.0 * np.log(uniforms(ids, *stream, 1)))
    return np.asarray(radius * np.cos(2.0 * np.pi * uniforms(ids, *stream, 2)), dtype=np.float64)
