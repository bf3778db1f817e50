from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import DataError
from pipeline.replay import IDENTITY_HASH, hash_ids, identity_hashes, normals, splitmix64, uniforms

GAMMA = 0x9E3779B97F4A7C15


def test_splitmix64_gives_the_published_sequence() -> None:
    """The reference generator's first five outputs for seed 1234567."""
    states = np.array([(1234567 + i * GAMMA) % 2**64 for i in range(5)], dtype=np.uint64)
    assert splitmix64(states).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_id_hashes_are_fixed_for_ever() -> None:
    assert hash_ids(["", "f1", "Zoë"]).tolist() == [13020603013274838756, 10032400520631574881, 11135694976992124792]
    assert hash_ids([]).shape == (0,)


def test_streams_are_fixed_uniform_and_independent() -> None:
    ids = hash_ids([f"id-{i}" for i in range(20_000)])
    first, second = uniforms(ids, 1337, 0, 0), uniforms(ids, 1337, 0, 1)
    assert first.min() > 0 and first.max() < 1
    for stream in (first, second):
        counts = np.histogram(stream, bins=20, range=(0, 1))[0]
        assert ((counts - 1000) ** 2 / 1000).sum() < 43.8  # chi-squared, 19 degrees of freedom, p = .001
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    np.testing.assert_array_equal(uniforms(ids[::-1], 1337, 0, 0), first[::-1])
    assert len({uniforms(ids[:1], *stream)[0] for stream in ((1, 2), (2, 1), (1,), (1, 2, 0))}) == 4


def test_normals_have_mean_zero_and_variance_one() -> None:
    drawn = normals(hash_ids([str(i) for i in range(20_000)]), 7)
    assert abs(drawn.mean()) < 0.03 and abs(drawn.std() - 1) < 0.03


def test_identities_are_hashed_with_kind_and_session_unless_the_store_keeps_the_hashes() -> None:
    rows = pa.table({"episode_id": ["a", "b"], "session": ["s", "t"]})
    expected = hash_ids(["episodic\x1fs\x1fa", "episodic\x1ft\x1fb"])
    np.testing.assert_array_equal(identity_hashes("episodic", rows), expected)
    kept = rows.append_column(IDENTITY_HASH, pa.array([1, 2**63], pa.uint64()))
    assert identity_hashes("episodic", kept).tolist() == [1, 2**63]
    bare = rows.drop_columns(["session"])
    np.testing.assert_array_equal(identity_hashes("x", bare), hash_ids(["x\x1f\x1fa", "x\x1f\x1fb"]))
    for wrong in (pa.array([1, 2], pa.int64()), pa.array([1, None], pa.uint64())):
        with pytest.raises(DataError, match="expected identity_hash of type uint64"):
            identity_hashes("episodic", rows.append_column(IDENTITY_HASH, wrong))
