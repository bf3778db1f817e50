"""Retrieval for memory-ON prompts: questions in, stored texts out, with counters, from one store or several.

Both classes implement `pipeline.evaluation.types.Retriever`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StoreError
from pipeline.evaluation.types import Memory
from pipeline.stores.episodic import EpisodicStore


class TextEncoder(Protocol):
    """What turns a query into a unit vector: :class:`pipeline.stores.encoder.SentenceEncoder`."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of shape (n, dimension)."""
        ...


class StoreRetriever:
    """Asks one store or several, and counts requests, hits and how often each episode was the best answer.

    Args:
        stores: What was taught. The memories of several stores are ranked by score; an empty store is passed over
            where another one holds something.
        encoder: Must be the one that made the store's keys; :func:`pipeline.stores.persistence.load` checks that.
        expected: Episode id that answers a query, where it is known. A query found in it is a hit when that episode
            is the first memory or part of it.
        hit_score: Any other query is a hit when its best cosine reaches this value. With all-MiniLM-L6-v2, questions
            about stored events reach .31 or more, general questions that no event answers .29 at most; questions
            about unknown people lie between (median .40), so such a hit means "related", not "right".
    """

    def __init__(
        self,
        stores: EpisodicStore | Sequence[EpisodicStore],
        encoder: TextEncoder,
        expected: Mapping[str, str] | None = None,
        hit_score: float = 0.3,
    ) -> None:
        self._stores = (stores,) if isinstance(stores, EpisodicStore) else tuple(stores)
        self._encoder = encoder
        self._expected = dict(expected or {})
        self._hit_score = hit_score
        self._requests = 0
        self._hits = 0
        self._usage: Counter[str] = Counter()

    @property
    def requests(self) -> int:
        """Queries received so far."""
        return self._requests

    @property
    def hits(self) -> int:
        """Queries whose best memory was the expected one, or near enough where none is expected."""
        return self._hits

    @property
    def usage(self) -> dict[str, int]:
        """How often each episode came first in a hit: the usage that the next night's store folds in."""
        return dict(sorted(self._usage.items()))

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[Memory]]:
        """For each query the ``k`` most similar memories, best first.

        Raises:
            StoreError: Every store is empty, or there is none.
        """
        vectors = self._encoder.encode(queries)
        holding = [store for store in self._stores if len(store)] or list(self._stores[:1])
        if not holding:
            raise StoreError("there is no store to ask; run persist_store first")
        told = [store.recollect(queries, vectors, k) for store in holding]
        found: list[list[Memory]] = []
        for query, *offers in zip(queries, *told, strict=True):
            ranked = sorted(
                ((memory, store) for store, offer in zip(holding, offers, strict=True) for memory in offer),
                key=lambda pair: -pair[0].score,  # stable: equal scores keep the order of the stores
            )[:k]
            found.append([memory for memory, _ in ranked])
            if ranked and self._is_hit(query, ranked[0][0]):
                self._hits += 1
                self._usage.update(ranked[0][0].episodes)
                ranked[0][1].count_hits(1)
        self._requests += len(queries)
        return found

    def _is_hit(self, query: str, best: Memory) -> bool:
        if query in self._expected:
            return self._expected[query] in best.episodes
        return best.score >= self._hit_score


class FixedRetriever:
    """Returns texts that were settled beforehand: swapped, contradicting and never-consolidated memories.

    Args:
        texts: Memory texts by query, best first. Every query it will be asked must be in it.
    """

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        self._texts = {query: tuple(memories) for query, memories in texts.items()}
        self._requests = 0
        self._hits = 0

    @property
    def requests(self) -> int:
        """Queries received so far."""
        return self._requests

    @property
    def hits(self) -> int:
        """Queries that brought at least one memory."""
        return self._hits

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[Memory]]:
        """The settled texts of each query, at most ``k``, with score 1; KeyError for a query without any entry."""
        found = [[Memory(text, "", 1.0) for text in self._texts[query][:k]] for query in queries]
        self._requests += len(queries)
        self._hits += sum(bool(memories) for memories in found)
        return found
