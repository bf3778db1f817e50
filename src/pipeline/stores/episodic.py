"""The episodic store (hippocampus): writes once, recalls by sparse key and exact cosine, completes partial cues.

Recall has two steps. The sparse key nominates the ``candidates`` episodes whose codes have the largest cosine to the
cue's; the exact cosine of the dense vectors then ranks them. A store of at most that many episodes is ranked whole.

    store = EpisodicStore("day-01", StoreConfig(), EncoderIdentity("embedded", encoder.digest, 384))
    judged, decisions = judge(store.candidates(rows, encoder.encode(texts)), nats, store.episodes, GateConfig())
    store.write(judged, enforce=False)
    store.recall(encoder.encode(["Where did Mona Hale buy the lantern?"]), k=3)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.config import GateConfig, StoreConfig
from pipeline.errors import StoreError
from pipeline.evaluation.types import Memory
from pipeline.stores import hopfield, upkeep
from pipeline.stores.episode import Episode, Episodes
from pipeline.stores.gate import GateDecision, Surprise, judge
from pipeline.stores.outcomes import Completion, Counters, EncoderIdentity, Recollection, WriteReport
from pipeline.stores.registry import register_store
from pipeline.stores.sparse import Expansion, InvertedIndex, largest
from pipeline.stores.writing import fates_of


@register_store("episodic")
class EpisodicStore:
    """Episodes of one named store, in memory; `pipeline.stores.persistence` saves and loads it.

    Every other kind of store builds on it: writing, decay, pruning, feedback, `forget` and files are the same; a kind
    has a gate (`judge`), a recall that reaches the model as text (`recollect`), and a say in what sleep may replay.

    Args:
        session: Name of the store; single episodes may carry other session names.
        config: Sparse code, completion, decay, capacity.
        encoder: Who makes its keys.
    """

    kind: ClassVar[str] = "episodic"

    def __init__(self, session: str, config: StoreConfig, encoder: EncoderIdentity) -> None:
        self.session = session
        self.config = config
        self.encoder = encoder
        self.expansion = Expansion(encoder.dimension, config.expansion, config.active, config.projection_seed)
        self.counters = Counters()
        self.night = 0
        self.folded_runs: tuple[str, ...] = ()
        self._episodes = Episodes.empty(self.expansion)
        self._index: InvertedIndex | None = None

    def __len__(self) -> int:
        return len(self._episodes)

    @property
    def episodes(self) -> Episodes:
        """All rows with their keys, oldest first."""
        return self._episodes

    @episodes.setter
    def episodes(self, episodes: Episodes) -> None:
        self._episodes = episodes
        self._index = None

    @property
    def nothing(self) -> Episodes:
        """No candidates: what a night brings that taught this store nothing."""
        return Episodes.empty(self.expansion)

    @property
    def counts(self) -> dict[str, int]:
        """The counters by name."""
        return asdict(self.counters)

    def find(self, session: str, episode_id: str) -> Episode | None:
        """The current version of one episode, or None."""
        at = self._episodes.numbers([(session, episode_id)]).get((session, episode_id))
        return None if at is None else self._episodes.rows[at]

    def candidates(self, rows: Sequence[Episode], vectors: NDArray[np.float32]) -> Episodes:
        """``rows`` with this store's keys for their dense ``vectors`` of shape (n, dimension); writes nothing."""
        return Episodes.of(rows, self._checked(vectors), self.expansion)

    def judge(
        self, candidates: Episodes, surprise: Surprise, config: GateConfig
    ) -> tuple[Episodes, list[GateDecision]]:
        """Pass candidates through this kind's write gate, in their order; nothing is written.

        Args:
            candidates: Events of one wake session with keys and codes.
            surprise: Of the frozen model; a gate that does not weigh it never calls it.
            config: Section ``gate``.

        Returns:
            The candidates with scores, verdicts and salience, and the decisions, both in the order given.
        """
        return judge(candidates, surprise([row.text for row in candidates.rows]), self.episodes, config)

    def write(self, candidates: Episodes, *, enforce: bool) -> WriteReport:
        """Takes in judged candidates, idempotently by (session, id, digest).

        The same digest is reused, untouched and whatever the gate says; another digest replaces the old version
        and starts its schedule anew; the rest is appended, unless ``enforce`` is set and the gate refused it.

        Raises:
            StoreError: One id stands for different content, or for episodes of two sessions.
        """
        new = candidates.records
        fates = fates_of(new, self._episodes.records, self._episodes.numbers, enforce)
        rows = new.replace(version=fates.version, night=np.full(len(new), self.night))
        taken = replace(candidates, rows=rows).select(fates.taken)
        self.episodes = self._episodes.without(fates.leaving).join(taken)
        evicted = self._evict()
        self.counters.writes += len(fates.taken)
        for name in ("reused", "replaced", "refused"):
            setattr(self.counters, name, getattr(self.counters, name) + len(fates.told[name]))
        return WriteReport(**{name: tuple(ids) for name, ids in fates.told.items()}, evicted=evicted)

    def recall(self, vectors: NDArray[np.float32], k: int) -> list[list[Recollection]]:
        """The ``k`` episodes with the largest cosine to each dense query, best first; ties go to the older one.

        Args:
            vectors: Queries, shape (m, dimension), rows of length one.
            k: At least 1; fewer come back when the store holds fewer.

        Raises:
            StoreError: The store is empty, ``vectors`` have another length than its keys, or ``k`` is below 1.
        """
        self._refuse_empty()
        if k < 1:
            raise StoreError(f"expected k of at least 1, found {k}")
        self.counters.recalls += len(self._checked(vectors))
        found = []
        for vector, near in zip(vectors, self._nominated(vectors, k), strict=True):
            scores = self._episodes.keys[near] @ vector  # (candidates,)
            best = largest(scores, k)
            recalled = self._episodes.records.take(near[best])
            found.append([Recollection(row, float(score)) for row, score in zip(recalled, scores[best], strict=True)])
        return found

    def recollect(self, queries: Sequence[str], vectors: NDArray[np.float32], k: int) -> list[list[Memory]]:
        """What this store has to say to each query, as text, best first.

        Args:
            queries: In plain words.
            vectors: The same queries encoded, shape (m, dimension).
            k: Memories per query, at least 1.

        Raises:
            StoreError: As :meth:`recall`.
        """
        return [[Memory(r.episode.text, r.episode.episode_id, r.score) for r in row] for row in self.recall(vectors, k)]

    def derived_tables(self) -> Mapping[str, tuple[pa.Table, str]]:
        """What a kind learns from its episodes, for readers of its files: tables by name, each with its schema."""
        return {}

    @classmethod
    def replayable(cls, rows: pa.Table) -> pa.Table:
        """The table ``episodes`` as replay shall see it; a kind clears ``consolidate`` where a row is outdated."""
        return rows

    def complete(self, cue: NDArray[np.float32]) -> Completion:
        """Completes a partial or noisy dense cue of shape (dimension,) by one Hopfield step.

        Raises:
            StoreError: The store is empty, or the cue has another length than its keys.
        """
        self._refuse_empty()
        vector, shares = hopfield.complete(
            self._checked(cue[np.newaxis])[0], self._episodes.keys, self.config.hopfield_beta
        )
        best = int(shares.argmax())
        return Completion(vector, self._episodes.rows[best], float(shares[best]))

    def count_hits(self, hits: int) -> None:
        """Adds queries that a retriever judged answered."""
        self.counters.hits += hits

    def forget(self, session: str, episode_id: str) -> bool:
        """Deletes one episode; False when there is none."""
        at = self._episodes.numbers([(session, episode_id)]).get((session, episode_id))
        if at is None:
            return False
        self.episodes = self._episodes.without([at])
        self.counters.forgotten += 1
        return True

    def decay(self, nights: int = 1) -> None:
        """Lets ``nights`` pass: salience halves every ``half_life_nights``; pinned episodes do not decay."""
        self.night += nights
        self._set_rows(upkeep.decayed(self._episodes.records, nights, self.config.half_life_nights))

    def prune(self) -> tuple[str, ...]:
        """Drops episodes below ``prune_below``, save pinned and not yet consolidated ones; returns their ids."""
        rows = self._episodes.records
        faded = np.flatnonzero(rows.column("salience") < self.config.prune_below)
        return self._drop([int(i) for i, row in zip(faded, rows.take(faded), strict=True) if self._may_go(row)])

    def fold_feedback(
        self,
        usage: Mapping[str, float],
        probes: Mapping[str, bool],
        run_id: str,
        *,
        night: int | None = None,
        losses: Mapping[str, float] | None = None,
    ) -> bool:
        """Takes in what one run reported, once: False, and nothing changes, when ``run_id`` was folded before.

        Args:
            usage: Retrievals by episode id.
            probes: Whether the probe question was answered with the memory off, by episode id.
            run_id: The run that reports.
            night: The night it belongs to; None is the store's current night.
            losses: Cross-entropy at the end of its training, nats per answer token, by episode id.
        """
        if run_id in self.folded_runs:
            return False
        when = self.night if night is None else night
        self._set_rows(upkeep.folded(self._episodes.records, usage, probes, when, losses or {}))
        self.folded_runs = (*self.folded_runs, run_id)
        return True

    def withdraw_feedback(self, passed: Iterable[str], run_id: str) -> bool:
        """Makes due again what a run that was rolled back had consolidated, once: False when that was done before.

        Args:
            passed: Episode ids whose probe question that run answered.
            run_id: The run.
        """
        marker = f"{run_id}/withdrawn"
        if marker in self.folded_runs:
            return False
        self._set_rows(upkeep.withdrawn(self._episodes.rows, frozenset(passed), self.night))
        self.folded_runs = (*self.folded_runs, marker)
        return True

    def _nominated(self, vectors: NDArray[np.float32], k: int) -> list[NDArray[np.intp]]:
        """For each query the numbers of the episodes to rank, ascending."""
        room = max(k, self.config.candidates)
        if len(self) <= room:
            return [np.arange(len(self))] * len(vectors)
        if self._index is None:
            self._index = self._episodes.index()
        codes = self.expansion.encode(vectors)
        overlaps = (self._index.cosine(*code) for code in zip(codes.units, codes.activity, strict=True))
        return [np.sort(largest(overlap, room)) for overlap in overlaps]

    def _evict(self) -> tuple[str, ...]:
        """Makes room down to ``max_items``: least salient first, never pinned or not yet consolidated episodes."""
        rows = self._episodes.records
        over = len(rows) - self.config.max_items
        if over <= 0:
            return ()
        ranked = np.argsort(rows.column("salience"), kind="stable")
        leaving = (int(i) for i in ranked if self._may_go(rows[i]))
        return self._drop(list(islice(leaving, over)))

    def _may_go(self, row: Episode) -> bool:
        """Whether pruning and eviction may drop a row."""
        return upkeep.prunable(row)

    def _drop(self, numbers: Sequence[int]) -> tuple[str, ...]:
        if not numbers:
            return ()
        names = tuple(self._episodes.rows[i].episode_id for i in sorted(numbers))
        self.episodes = self._episodes.without(numbers)
        self.counters.pruned += len(names)
        return names

    def _set_rows(self, rows: Sequence[Episode]) -> None:
        """Changes values of rows; keys and index stay."""
        self._episodes = replace(self._episodes, rows=rows)

    def _checked(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        if vectors.ndim != 2 or vectors.shape[1] != self.encoder.dimension:
            raise StoreError(f"expected vectors of shape (n, {self.encoder.dimension}), found {vectors.shape}")
        return vectors

    def _refuse_empty(self) -> None:
        if not len(self):
            raise StoreError(
                f"the {self.kind} store of session {self.session!r} is empty, so nothing can be recalled; "
                f"teach it first: engram teach FILE --session {self.session}"
            )
