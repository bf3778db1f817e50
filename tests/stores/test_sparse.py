from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.stores.sparse import Expansion, InvertedIndex, SparseCode, largest


def unit(rng: np.random.Generator, n: int, dimension: int = 64) -> np.ndarray:
    vectors = rng.standard_normal((n, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_k_most_excited_units_win_and_keep_their_activity() -> None:
    vectors = unit(np.random.default_rng(1), 5)
    expansion = Expansion(64, 512, 16, seed=3)
    code = expansion.encode(vectors)
    excitation = vectors @ np.random.Generator(np.random.PCG64(3)).standard_normal((64, 512), dtype=np.float32)
    for row in range(5):
        winners = np.sort(np.argsort(-excitation[row])[:16])
        assert code.units[row].tolist() == winners.tolist()
        expected = excitation[row][winners] / np.linalg.norm(excitation[row][winners])
        np.testing.assert_allclose(code.activity[row], expected, rtol=1e-4)


def test_a_code_does_not_depend_on_its_neighbours() -> None:
    vectors = unit(np.random.default_rng(2), 7)
    expansion = Expansion(64, 512, 16)
    together = expansion.encode(vectors)
    for row in range(7):
        assert expansion.encode(vectors[row : row + 1]).units[0].tolist() == together.units[row].tolist()


def test_patterns_are_separated_and_keep_their_order() -> None:
    """Cosine of codes is below that of the vectors, falls with it, and is one for equal vectors."""
    rng = np.random.default_rng(4)
    base, other = unit(rng, 2, 256)
    other = other - (other @ base) * base
    other /= np.linalg.norm(other)
    dense = np.array([0.2, 0.4, 0.6, 0.8, 0.9])
    mixed = dense[:, None] * base + np.sqrt(1 - dense[:, None] ** 2) * other
    full = Expansion(256, 4096, 128).encode(np.vstack([base, mixed]).astype(np.float32)).dense(4096)
    sparse = full[1:] @ full[0]
    assert np.all(sparse < dense - 0.05)
    assert np.all(np.diff(sparse) > 0)
    assert full[0] @ full[0] == pytest.approx(1.0, abs=1e-5)


@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_inverted_index_gives_the_exact_cosine(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    code = Expansion(64, 256, 8).encode(unit(rng, n))
    query = Expansion(64, 256, 8).encode(unit(rng, 1))
    found = InvertedIndex(code, 256).cosine(query.units[0], query.activity[0])
    np.testing.assert_allclose(found, code.dense(256) @ query.dense(256)[0], atol=1e-5)


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 35))
def test_largest_is_a_stable_descending_sort(values: list[int], k: int) -> None:
    scores = np.array(values, dtype=np.float32)
    expected = sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]
    assert largest(scores, k).tolist() == expected


def test_codes_join_and_select() -> None:
    code = Expansion(64, 256, 8).encode(unit(np.random.default_rng(0), 3))
    joined = SparseCode.concatenate(SparseCode.empty(8), code)
    assert len(joined) == 3
    assert joined[np.array([2])].units.tolist() == [code.units[2].tolist()]


@pytest.mark.parametrize("active", [0, 257])
def test_more_winners_than_units_is_an_error(active: int) -> None:
    with pytest.raises(ConfigError, match=r"store\.active"):
        Expansion(64, 256, active)
