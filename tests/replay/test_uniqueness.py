"""One identity, one row; two identities with one hash are no repetition."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.replay import splitmix64
from pipeline.replay.uniqueness import _may_repeat, require_unique


@given(st.lists(st.integers(0, 2**64 - 1), max_size=60), st.integers(0, 63))
def test_a_repeated_hash_is_always_found(values: list[int], shift: int) -> None:
    """Hashes that agree in their first bits meet in one slot again and again."""
    hashes = np.array([value >> shift for value in values], dtype=np.uint64)
    assert _may_repeat(hashes) == (len(set(hashes.tolist())) < len(hashes))


def test_large_stores_are_checked_in_parts() -> None:
    hashes = splitmix64(np.arange(1_200_000, dtype=np.uint64))
    assert not _may_repeat(hashes)
    hashes[7] = hashes[1_150_000]
    assert _may_repeat(hashes)


def test_only_equal_identities_are_refused() -> None:
    rows = pa.table({"session": ["s", "s", "t"], "episode_id": ["a", "b", "a"]})
    require_unique("episodic", rows, np.array([5, 5, 5], dtype=np.uint64))
    twice = pa.table({"session": ["s", "s", "s", "s"], "episode_id": ["b", "a", "b", "a"]})
    with pytest.raises(DataError, match=r"replay of spatial rows: \(session, id\) \('s', 'a'\) occurs twice"):
        require_unique("spatial", twice, np.array([1, 2, 1, 2], dtype=np.uint64))
