"""The spatial store: walks in, a map out; what it recalls is a step or a planned way, as text.

The episodes are the truth; the map (`pipeline.stores.place_graph`) is learned from them anew whenever they change, so
that writing, decay, pruning and `forget` need no code of their own. A question is answered from the map when it names
two places, or one place and directions; any other question is answered as the episodic store would.

    "From the mill, which way to the chapel?"      From the mill, go north to reach the chapel; it takes 4 minutes.
    "What lies directly north of the mill?"        (the same)
    "Which place comes first from the mill to the bakery?"   To get from the mill to the bakery, go north to the chapel
                                                             (4 minutes), then east to the bakery (5 minutes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.config import GateConfig
from pipeline.evaluation.types import Memory
from pipeline.stores.episode import Episodes
from pipeline.stores.episodic import EpisodicStore
from pipeline.stores.gate import GateDecision, Surprise
from pipeline.stores.place_graph import Passage, PlaceGraph, Plan
from pipeline.stores.places_in_text import named, start_and_goal
from pipeline.stores.registry import register_store
from pipeline.stores.spatial_gate import judge_walks
from pipeline.stores.walks import walk_of

CERTAIN = 1.0
"""Score of an answer that the map gives: no text can be nearer to the question."""
PASSAGES_SCHEMA, ROUTES_SCHEMA = "passages/1", "routes/1"


@register_store("spatial")
class SpatialStore(EpisodicStore):
    """Walks of one named store and the map that they show."""

    kind: ClassVar[str] = "spatial"

    _seen: Episodes | None = None
    _map: PlaceGraph | None = None

    @property
    def map(self) -> PlaceGraph:
        """What the episodes show; do not change it.

        Raises:
            StoreError: The details of an episode are no walk.
        """
        if self._map is None or self._seen is not self.episodes:
            self._map, self._seen = self._learned(), self.episodes
        return self._map

    def _learned(self) -> PlaceGraph:
        return PlaceGraph.of(walk_of(row) for row in self.episodes.rows)

    def judge(
        self, candidates: Episodes, surprise: Surprise, config: GateConfig
    ) -> tuple[Episodes, list[GateDecision]]:
        """Pass walks through the gate of `pipeline.stores.spatial_gate`; the language model is not asked.

        A row with a candidate's (session, id) is that candidate's own older version and does not make it less novel.
        """
        own = {row.identity for row in candidates.rows}
        known = PlaceGraph.of(walk_of(row) for row in self.episodes.rows if row.identity not in own)
        rows, decisions = judge_walks(candidates.rows, known, config)
        return replace(candidates, rows=rows), decisions

    def recollect(self, queries: Sequence[str], vectors: NDArray[np.float32], k: int) -> list[list[Memory]]:
        """The map's answer to each query first, then the nearest episodes; arguments and errors as of the base."""
        recalled = super().recollect(queries, vectors, k)
        answers = [self._answer(query) for query in queries]
        return [
            memories if answer is None else [answer, *(m for m in memories if m.text != answer.text)][:k]
            for answer, memories in zip(answers, recalled, strict=True)
        ]

    def _answer(self, query: str) -> Memory | None:
        known = self.map
        asked = named(query, known.places, dict.fromkeys(passage.direction for passage in known.passages))
        if len(asked.places) == 1 and asked.directions:
            return _told(known.follow(asked.places[0], asked.directions))
        if len(asked.places) == 2 and not asked.directions:
            start, goal = start_and_goal(query, *asked.places)
            step = known.passage(start, goal)  # of neighbours the step is asked, even where a way around is quicker
            return _told(Plan((step,)) if step is not None else known.plan(start, goal))
        return None

    def derived_tables(self) -> Mapping[str, tuple[pa.Table, str]]:
        """The map as tables ``passages`` and ``routes``; the store itself learns it from the episodes."""
        passages = [asdict(passage) | {"episodes": list(passage.episodes)} for passage in self.map.passages]
        routes = [
            asdict(macro) | {"places": list(macro.places), "episodes": list(macro.episodes)}
            for macro in self.map.macros.values()
        ]
        return {
            "passages": (pa.Table.from_pylist(passages, schema=_PASSAGES), PASSAGES_SCHEMA),
            "routes": (pa.Table.from_pylist(routes, schema=_ROUTES), ROUTES_SCHEMA),
        }


_PASSAGES = pa.schema(
    [
        ("start", pa.string()),
        ("goal", pa.string()),
        ("direction", pa.string()),
        ("minutes", pa.float64()),  # running mean
        ("count", pa.int64()),
        ("episodes", pa.list_(pa.string())),
    ]
)
_ROUTES = pa.schema(
    [
        ("places", pa.list_(pa.string())),
        ("count", pa.int64()),
        ("successes", pa.int64()),
        ("minutes", pa.float64()),  # running mean of the successful walks
        ("episodes", pa.list_(pa.string())),
    ]
)


def _told(plan: Plan | None) -> Memory | None:
    if plan is None:
        return None
    first, *also = plan.episodes
    return Memory(text_of(plan), first, CERTAIN, tuple(also))


def text_of(plan: Plan) -> str:
    """A way in words, with learned times."""
    if len(plan.passages) == 1:
        (step,) = plan.passages
        return f"From the {step.start}, go {step.direction} to reach the {step.goal}; it takes {_minutes(step)}."
    legs = [f"{step.direction} to the {step.goal} ({_minutes(step)})" for step in plan.passages]
    start, goal = plan.passages[0].start, plan.passages[-1].goal
    return f"To get from the {start} to the {goal}, go {', then '.join(legs)}."


def _minutes(step: Passage) -> str:
    return f"{round(step.minutes, 1):g} minutes"
