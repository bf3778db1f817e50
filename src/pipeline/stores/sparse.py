"""Sparse keys: k winners take all in a large random expansion, after the dentate gyrus.

A dense vector is projected by a seeded Gaussian matrix onto many more units, and only the ``active`` most excited
units keep their activity. Similar inputs share fewer winners than their cosine suggests: pattern separation
(Rolls 2013, "The mechanisms for pattern completion and pattern separation in the hippocampus"; the same
construction as the fly's olfactory hash, Dasgupta, Stevens and Navlakha 2017). Codes are compared by exact
cosine, which an inverted index over active units answers by touching only units that the query shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from pipeline.errors import ConfigError

_BLOCK = 2048  # rows projected at once: 2048 x 4096 float32 is 32 MiB


@dataclass(frozen=True)
class SparseCode:
    """n sparse unit vectors with the same number of active units.

    Attributes:
        units: Active units, ascending, shape (n, active), int32.
        activity: Their activity, rows of length one, shape (n, active), float32.
    """

    units: NDArray[np.int32]
    activity: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.units)

    def __getitem__(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> SparseCode:
        return SparseCode(self.units[rows], self.activity[rows])

    def dense(self, expansion: int) -> NDArray[np.float32]:
        """The same vectors with their zeros, shape (n, expansion)."""
        full = np.zeros((len(self), expansion), dtype=np.float32)
        np.put_along_axis(full, self.units.astype(np.intp), self.activity, axis=1)
        return full

    @staticmethod
    def concatenate(first: SparseCode, second: SparseCode) -> SparseCode:
        """The rows of ``first``, then those of ``second``."""
        return SparseCode(
            np.concatenate([first.units, second.units]), np.concatenate([first.activity, second.activity])
        )

    @staticmethod
    def empty(active: int) -> SparseCode:
        """No rows of ``active`` units each."""
        return SparseCode(np.zeros((0, active), np.int32), np.zeros((0, active), np.float32))


@dataclass(frozen=True)
class Expansion:
    """The random projection and the number of winners; equal parameters give equal codes on any machine.

    Attributes:
        dimension: Length of a dense vector.
        units: Number of units of the expansion.
        active: Winners per vector (k).
        seed: Seed of the Gaussian projection.
    """

    dimension: int
    units: int
    active: int
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.active <= self.units:
            raise ConfigError(f"store.active must lie between 1 and store.expansion={self.units}, found {self.active}")

    def encode(self, vectors: NDArray[np.float32]) -> SparseCode:
        """Sparse codes of dense ``vectors`` of shape (n, dimension); ties go to the lower unit."""
        projection = _projection(self.dimension, self.units, self.seed)  # (dimension, units)
        codes = SparseCode(
            np.zeros((len(vectors), self.active), np.int32), np.zeros((len(vectors), self.active), np.float32)
        )
        for start in range(0, len(vectors), _BLOCK):
            rows = slice(start, start + _BLOCK)
            excitation = np.asarray(vectors[rows], dtype=np.float32) @ projection  # (block, units)
            winners = np.argpartition(-excitation, self.active - 1, axis=1)[:, : self.active]
            winners.sort(axis=1)
            activity = np.maximum(np.take_along_axis(excitation, winners, axis=1), 0.0)
            norm = np.linalg.norm(activity, axis=1, keepdims=True)
            codes.units[rows] = winners
            codes.activity[rows] = activity / np.maximum(norm, 1e-12)
        return codes


class InvertedIndex:
    """For each unit the rows in which it is active: exact cosine of one code in milliseconds at 100,000 rows."""

    def __init__(self, code: SparseCode, expansion: int) -> None:
        self._rows = len(code)
        width = code.units.shape[1]
        starts = np.arange(len(code) + 1, dtype=np.int64) * width
        by_row = csr_array((code.activity.reshape(-1), code.units.reshape(-1), starts), shape=(len(code), expansion))
        by_unit = by_row.tocsc()  # counts and moves: linear in time, and nothing is sorted
        self._row, self._activity, self._start = by_unit.indices, by_unit.data, by_unit.indptr

    def cosine(self, units: NDArray[np.int32], activity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosine of one code, both arguments of shape (active,), to every row: shape (n,)."""
        spans = [slice(self._start[unit], self._start[unit + 1]) for unit in units]
        ends = np.cumsum([0, *(span.stop - span.start for span in spans)])
        columns = (
            np.concatenate([self._activity[span] for span in spans]),
            np.concatenate([self._row[span] for span in spans]),
            ends.astype(np.int32),
        )
        found: NDArray[np.float32] = csc_array(columns, shape=(self._rows, len(spans))) @ activity
        return found


def largest(scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Numbers of the ``k`` largest of ``scores``, shape (n,), best first; ties go to the lower number."""
    if k < len(scores):
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        near = np.flatnonzero(scores >= least)
    else:
        near = np.arange(len(scores))
    return near[np.argsort(-scores[near], kind="stable")][:k]


@lru_cache(maxsize=4)
def _projection(dimension: int, units: int, seed: int) -> NDArray[np.float32]:
    """Gaussian matrix of shape (dimension, units), read-only because it is shared."""
    matrix = np.random.Generator(np.random.PCG64(seed)).standard_normal((dimension, units), dtype=np.float32)
    matrix.setflags(write=False)
    return matrix
