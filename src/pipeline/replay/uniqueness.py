"""Refuse a store in which one identity stands for two rows, without a Python object a row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.replay.hashing import identities

_BLOCK = 1 << 20  # rows looked up at once


def require_unique(kind: str, rows: pa.Table, hashes: NDArray[np.uint64]) -> None:
    """Refuse rows that share session and id.

    Args:
        kind: Of the store, for the message.
        rows: With ``episode_id``, and optionally ``session``.
        hashes: Their hashed identities, shape (n,).

    Raises:
        DataError: An id occurs twice within one session.
    """
    if not _may_repeat(hashes):
        return
    values, counts = np.unique(hashes, return_counts=True)
    alike = np.flatnonzero(np.isin(hashes, values[counts > 1]))
    found = identities(rows.take(pa.array(alike)))
    twice = sorted(identity for identity in set(found) if found.count(identity) > 1)
    if twice:
        raise DataError(f"replay of {kind} rows: (session, id) {twice[0]} occurs twice; ids must be unique")


def _may_repeat(hashes: NDArray[np.uint64]) -> bool:
    """Whether two rows have the same hash.

    Every row writes its number into the slot that its hash names. Whoever finds another number there compares
    hashes with that row, and tries again among those that were overwritten: linear in time, where sorting is not.
    """
    bits = max(len(hashes).bit_length(), 1)
    slots = np.zeros(1 << bits, dtype=np.int64 if bits > 31 else np.int32)
    left = np.arange(len(hashes), dtype=slots.dtype)
    while len(left):
        parts = np.split(left, range(_BLOCK, len(left), _BLOCK))
        for part in parts:
            slots[hashes[part] >> np.uint64(64 - bits)] = part
        overwritten = []
        for part in parts:
            winner = slots[hashes[part] >> np.uint64(64 - bits)]
            lost = winner != part
            if (hashes[part[lost]] == hashes[winner[lost]]).any():
                return True
            overwritten.append(part[lost])
        left = np.concatenate(overwritten)
    return False
