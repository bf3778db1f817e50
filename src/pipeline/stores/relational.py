"""The relational store: a graph of who is related to whom, asked by the entities that a question names.

    store = RelationalStore("day-01", StoreConfig(), identity)
    store.recollect(["In which city did Ana Voss buy the lantern?"], encoder.encode([...]), k=1)
    # "Ana Voss bought a lantern at Quill Emporium. Quill Emporium is a store in the city of Hask Hollow."

Nothing is kept twice: the graph follows from the ``details`` of the rows, and is built when it is first asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import networkx as nx
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.config import GateConfig
from pipeline.errors import StoreError
from pipeline.evaluation.scoring import normalise
from pipeline.evaluation.types import Memory
from pipeline.stores.episode import Episode, Episodes
from pipeline.stores.episodic import EpisodicStore
from pipeline.stores.gate import GateDecision, Surprise
from pipeline.stores.outcomes import WriteReport
from pipeline.stores.registry import register_store
from pipeline.stores.relational_gate import judge_relations
from pipeline.stores.relations import Relation, newest_valid, relation_of, relations_of
from pipeline.stores.sparse import largest

LEAST_CONFIDENCE = 0.5
"""Confidence from which a statement is valid: more likely right than wrong."""
NAMED, HEAD_NAMED, TAIL_NAMED = 0.9, 0.8, 0.7
"""Least score of an edge by what the question names of it: head and what it is about, head alone, tail alone. A name is
better evidence than a cosine, which adds a tenth at most."""


@dataclass(frozen=True)
class _Graph:
    """What a store knows, derived from its rows.

    Attributes:
        relations: Every statement by id, outdated ones included.
        everything: Entities (normalised) and all statements, keyed by id; outdated ones are marked so.
        current: The same with the newest valid statements alone.
        answering: Their ids.
        position: Row number by id.
        longest: Words of the longest entity's name.
    """

    relations: dict[str, Relation]
    everything: nx.MultiDiGraph
    current: nx.MultiDiGraph
    answering: frozenset[str]
    position: dict[str, int]
    longest: int


@register_store("relational")
class RelationalStore(EpisodicStore):
    """Relations of one named store; all that concerns rows is as in `EpisodicStore`.

    Statements that contradict each other are all kept with their times; the newest valid one answers and is replayed.
    When it is forgotten, the one before it does so again.
    """

    kind: ClassVar[str] = "relational"
    _graph: _Graph | None = None
    _graphed: Episodes | None = None

    @property
    def graph(self) -> nx.MultiDiGraph:
        """All statements as edges with time, confidence, provenance and whether they are current; not to be changed."""
        return self._built().everything

    def current(self) -> tuple[Relation, ...]:
        """The newest valid statements."""
        built = self._built()
        return tuple(relation for name, relation in built.relations.items() if name in built.answering)

    def judge(
        self, candidates: Episodes, surprise: Surprise, config: GateConfig
    ) -> tuple[Episodes, list[GateDecision]]:
        """The gate on confidence, novelty, degree and recency (`pipeline.stores.relational_gate`)."""
        return judge_relations(candidates, relations_of(self.episodes.rows), config, LEAST_CONFIDENCE)

    def write(self, candidates: Episodes, *, enforce: bool) -> WriteReport:
        """As `EpisodicStore.write`; nothing is written when the details of a row are no relation."""
        relations_of(candidates.rows)
        return super().write(candidates, enforce=enforce)

    @classmethod
    def replayable(cls, rows: pa.Table) -> pa.Table:
        """The table with ``consolidate`` false where a newer valid statement answers."""
        ids, details = rows.column("episode_id").to_pylist(), rows.column("details").to_pylist()
        stated = [relation_of(name, text) for name, text in zip(ids, details, strict=True)]
        current = {relation.episode_id for relation in newest_valid(stated, LEAST_CONFIDENCE)}
        wanted = rows.column("consolidate").to_pylist()
        kept = pa.array([flag and name in current for name, flag in zip(ids, wanted, strict=True)], pa.bool_())
        return rows.set_column(rows.column_names.index("consolidate"), "consolidate", kept)

    def recollect(self, queries: Sequence[str], vectors: NDArray[np.float32], k: int) -> list[list[Memory]]:
        """For each query the ``k`` best connected paths of current statements, as text.

        A path begins at an edge whose head, or else tail, the question names; where it names none, at the edge with
        the largest cosine. It goes on from tail to head, up to ``store.hops`` edges, and ends at the last tail whose
        kind the question names ("in which country"), or else where the sum of its keys is closest to the query.
        """
        self._refuse_empty()
        if k < 1:
            raise StoreError(f"expected k of at least 1, found {k}")
        self.counters.recalls += len(self._checked(vectors))
        return [self._told(f" {normalise(query)} ", vector, k) for query, vector in zip(queries, vectors, strict=True)]

    def _told(self, query: str, vector: NDArray[np.float32], k: int) -> list[Memory]:
        starts = self._named(query, vector) or self._nearest(vector, k)
        paths = sorted((self._path(start, base, query, vector) for start, base in starts), key=lambda m: -m.score)
        return paths[:k]

    def _named(self, query: str, vector: NDArray[np.float32]) -> list[tuple[Relation, float]]:
        """Current edges that the question names, each with the least score that this is worth."""
        built = self._built()
        words, sizes = query.split(), range(1, built.longest + 1)
        spans = {" ".join(words[i : i + size]) for size in sizes for i in range(len(words) - size + 1)}
        named = {span for span in spans if span in built.current}
        named = {node for node in named if not any(node != other and f" {node} " in f" {other} " for other in named)}
        heads = self._stated(key for _, _, key in built.current.out_edges(named, keys=True))
        if heads:
            about = {r.episode_id for r in heads if not r.about or f" {normalise(r.about)} " in query}
            return [(relation, NAMED if relation.episode_id in about else HEAD_NAMED) for relation in heads]
        tails = self._stated(key for _, _, key in built.current.in_edges(named, keys=True))
        return [(relation, TAIL_NAMED) for relation in tails]

    def _stated(self, names: Iterable[str]) -> list[Relation]:
        """The relations of these ids, in the order of their rows."""
        built = self._built()
        return [built.relations[name] for name in sorted(names, key=built.position.__getitem__)]

    def _nearest(self, vector: NDArray[np.float32], k: int) -> list[tuple[Relation, float]]:
        """The ``k`` current edges with the largest cosine, in a store that the question names nothing of."""
        current = self.current()
        numbers = np.array([self._built().position[relation.episode_id] for relation in current])
        return [(current[i], 0.0) for i in largest(self.episodes.keys[numbers] @ vector, k)]

    def _path(self, start: Relation, base: float, query: str, vector: NDArray[np.float32]) -> Memory:
        """The path from an edge to what is asked; a base above 0 is the least score of an edge that was named."""
        path, paths = [start], [[start]]
        while len(path) < self.config.hops and (onward := self._onward(path)):
            path = [*path, max(onward, key=lambda relation: self._cosine([relation], vector))]
            paths.append(path)
        asked = [p for p in paths if p[-1].tail_kind and f" {normalise(p[-1].tail_kind)} " in query]
        best = asked[-1] if asked else max(paths, key=lambda p: self._cosine(p, vector))
        cosine = self._cosine(best, vector)
        rows = [self._row(relation) for relation in best]
        text = " ".join(row.text.strip() for row in rows)
        first, *others = (row.episode_id for row in rows)
        return Memory(text, first, base + max(cosine, 0.0) / 10 if base else cosine, tuple(others))

    def _onward(self, path: Sequence[Relation]) -> list[Relation]:
        """Current edges that leave the end of a path for an entity that it has not been to."""
        been = {node for relation in path for node in relation.nodes}
        built = self._built()
        leaving = built.current.out_edges(path[-1].nodes[1], keys=True)
        return [built.relations[key] for _, to, key in leaving if to not in been]

    def _cosine(self, path: Sequence[Relation], vector: NDArray[np.float32]) -> float:
        """Cosine of the summed keys of a path to a query of shape (dimension,)."""
        keys = self.episodes.keys[[self._built().position[relation.episode_id] for relation in path]]
        summed = keys.sum(axis=0)
        return float(summed @ vector / max(float(np.linalg.norm(summed)), 1e-12))

    def _row(self, relation: Relation) -> Episode:
        return self.episodes.rows[self._built().position[relation.episode_id]]

    def _may_go(self, row: Episode) -> bool:
        """An outdated statement waits for no consolidation."""
        outdated = row.episode_id not in self._built().answering
        return (outdated and not row.pin) or super()._may_go(row)

    def _built(self) -> _Graph:
        if self._graph is None or self._graphed is not self._episodes:
            self._graph, self._graphed = _graph_of(self._episodes.rows), self._episodes
        return self._graph


def _graph_of(rows: Sequence[Episode]) -> _Graph:
    relations = relations_of(rows)
    current = newest_valid(relations, LEAST_CONFIDENCE)
    answering = frozenset(relation.episode_id for relation in current)
    graphs = (nx.MultiDiGraph(), nx.MultiDiGraph())
    for graph, members in zip(graphs, (relations, current), strict=True):
        for relation in members:
            graph.add_edge(
                *relation.nodes,
                key=relation.episode_id,
                relation=relation.relation,
                about=relation.about,
                time=relation.time,
                confidence=relation.confidence,
                provenance=relation.provenance,
                current=relation.episode_id in answering,
            )
    stated = {relation.episode_id: relation for relation in relations}
    position = {row.episode_id: i for i, row in enumerate(rows)}
    longest = max((len(node.split()) for node in graphs[1]), default=0)
    return _Graph(stated, *graphs, answering, position, longest)
