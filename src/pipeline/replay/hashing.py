"""Random numbers that belong to an item, not to its place in a table: the same on any machine and thread count.

splitmix64 is the finaliser of Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", with
the constants of Vigna's reference code (https://prng.di.unimi.it/splitmix64.c).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import DataError

IDENTITY_HASH = "identity_hash"
"""Column of a store's rows that keeps `identity_hashes`: hashing strings takes longer than all the rest."""
_BLOCK = 1 << 16  # ids that are Python strings at one time

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


def identities(rows: pa.Table) -> list[tuple[str, str]]:
    """(session, id) of every row; a table without sessions has empty ones."""
    ids = [str(name) for name in rows.column("episode_id").to_pylist()]
    sessions = rows.column("session").to_pylist() if "session" in rows.column_names else [""] * len(ids)
    return list(zip(sessions, ids, strict=True))


def identity_hashes(kind: str, rows: pa.Table) -> NDArray[np.uint64]:
    """Hash of (kind, session, id) of every row, shape (n,): the stored column if there is one, else made anew.

    Raises:
        DataError: The stored column holds something else than 64-bit hashes.
    """
    if IDENTITY_HASH in rows.column_names:
        stored = rows.column(IDENTITY_HASH)
        if stored.type != pa.uint64() or stored.null_count:
            raise DataError(f"{kind} rows: expected {IDENTITY_HASH} of type uint64 without nulls, found {stored.type}")
        return np.asarray(stored.to_numpy(), dtype=np.uint64)
    found = np.zeros(rows.num_rows, dtype=np.uint64)
    for first in range(0, rows.num_rows, _BLOCK):
        block = identities(rows.slice(first, _BLOCK))
        found[first : first + len(block)] = hash_ids([f"{kind}\x1f{session}\x1f{name}" for session, name in block])
    return found


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
