"""The write gate: which experiences the hippocampus keeps.

    S = alpha * surprise + beta * novelty + gamma * reward + delta * pin,   written when S > threshold

Surprise is -log p of the event under the frozen model, in nats per word of its most surprising sentence, squashed by a
fixed logistic curve. Novelty is 1 - the largest similarity to what was stored before, or kept earlier in the same wake
session: the cosine of the keys, halved for every name and number of the event that the other one lacks. Neither depends
on later or rejected neighbours, so events are judged one by one, as they are lived.

Measured with SmolLM2-135M-Instruct after ``SURPRISE_CONTEXT``, on sentences of the half ``dev`` of
`pipeline.suites.messages`: common knowledge takes at most 3.5 nats a word and small talk 3.6, invented events and notes
at least 3.8. Per token, and with what a message begins with counted in, they overlap: "As everybody knows: Bees make
honey." spends its nats on the frame and on the choice of bees, an event on names and numbers.

Novelty is read off the sparse codes, whose pattern separation keeps events of one template apart: .65 novel or more by
their keys alone, .9 with their names; a reworded copy .04 to .57, an exact copy 0. The same sentence with another date
or number has almost the same key, and a reworded copy has all names and numbers: that is what halving tells apart. A
change of a common noun alone it does not see. An event has to be new and surprising: either alone gives .5 at most,
below the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.config import GateConfig
from pipeline.errors import DataError
from pipeline.stores.episode import Episode, Episodes
from pipeline.stores.sparse import SparseCode, largest
from pipeline.stores.specifics import names_and_numbers, words_of

SURPRISE_CONTEXT = "Fish live in water. She drank a cup of tea. Grass is green. He opened the door. "
"""An unremarkable day, which the frozen model reads before the event. It separates the predictable from the
surprising twice as well (d' 5.3) as the bare event does (d' 2.7), because it shows that plain sentences are due."""

SURPRISE_PRIOR = (12.0, 2.5)
"""Words, and nats of each, that enter into every mean: about as many as an event has, and what plain sentences take.
Chosen, as the gate's defaults, by precision and recall on days of messages with sentences of the half ``dev``."""

GATE_SCHEMA = "gate/1"
Surprise = Callable[[Sequence[str]], NDArray[np.float64]]
"""Surprise of each text under the frozen model, nats per word."""
_UNLIKE = 0.5  # factor of the similarity for every name and number that the other text lacks
_FEW = 256  # most similar rows, which nearly always settle it
_DUPLICATE = 0.05  # novelty below which a refused event is called a duplicate
_PREDICTABLE = 0.5  # surprise below which a refused event is called predictable


@dataclass(frozen=True)
class GateDecision:
    """What the gate thought of one event.

    Attributes:
        session: Wake session of the event.
        episode_id: Its id.
        nats: Mean -log p per word under the frozen model.
        surprise: ``nats`` squashed to 0..1.
        novelty: 1 - largest similarity to what was kept before, 0..1.
        reward: Reward part before weighting, 0 or 1.
        pin: Pin part before weighting, 0 or 1.
        score: The weighted sum S.
        accepted: Whether S exceeds the threshold.
        reason: ``novel``, ``rewarded``, ``pinned``; or ``duplicate``, ``predictable``, ``weak``; or ``random`` of one
            that draws.
        nearest: Id of the most similar episode kept before; empty when there is none.
        kind: The store whose gate it was; parts of the score that its gate does not weigh are 0.
        parts: JSON of what else its gate weighed, by name; empty where the fields above are all.
    """

    session: str
    episode_id: str
    nats: float
    surprise: float
    novelty: float
    reward: float
    pin: float
    score: float
    accepted: bool
    reason: str
    nearest: str
    kind: str = "episodic"
    parts: str = ""


def squash_surprise(nats: NDArray[np.float64], config: GateConfig) -> NDArray[np.float64]:
    """Surprise in 0..1: logistic((nats - reference) / scale), shape as given, nats per word."""
    excess = (np.asarray(nats, dtype=np.float64) - config.surprise_reference) / config.surprise_scale
    squashed: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * excess))
    return squashed


def judge(
    candidates: Episodes, nats: NDArray[np.float64], stored: Episodes, config: GateConfig
) -> tuple[Episodes, list[GateDecision]]:
    """Passes candidates through the gate, in their order.

    Args:
        candidates: Events of one wake session with keys and codes, n rows.
        nats: Surprise of each, shape (n,), nats per word.
        stored: What the store holds. A row with a candidate's (session, id) is that candidate's own older version
            and does not make it less novel.
        config: Weights, threshold, squashing; with ``enforce`` off a refused event is kept all the same.

    Returns:
        The candidates with surprise, novelty, score, verdict and salience filled in (none is left out), and the
        decisions in the same order.

    Raises:
        DataError: ``nats`` has another length, or is not finite.
    """
    if np.shape(nats) != (len(candidates),) or not np.all(np.isfinite(nats)):
        raise DataError(f"expected one finite surprise per event, {len(candidates)} in all, found {np.shape(nats)}")
    surprise = squash_surprise(nats, config)
    kept = _Kept(stored, candidates)
    decisions = []
    for i, episode in enumerate(candidates.rows):
        novelty, nearest = kept.novelty(episode, candidates.code[i : i + 1])
        decision = _decide(episode, float(nats[i]), float(surprise[i]), novelty, nearest, config)
        if decision.accepted or not config.enforce:
            kept.add(episode, candidates.code[i : i + 1])
        decisions.append(decision)
    rows = tuple(_judged(row, d, config) for row, d in zip(candidates.rows, decisions, strict=True))
    return replace(candidates, rows=rows), decisions


def decisions_table(decisions: Sequence[GateDecision]) -> pa.Table:
    """One row per decision (schema ``gate/1``), columns named as the fields of :class:`GateDecision`."""
    types = {"str": pa.string(), "float": pa.float64(), "bool": pa.bool_()}
    schema = pa.schema([(name, types[str(kind)]) for name, kind in GateDecision.__annotations__.items()])
    return pa.Table.from_pylist([asdict(decision) for decision in decisions], schema=schema)


def _decide(
    episode: Episode, nats: float, surprise: float, novelty: float, nearest: str, config: GateConfig
) -> GateDecision:
    evidence = config.alpha * surprise + config.beta * novelty
    reward, pin = float(episode.reward), float(episode.pin)
    score = evidence + config.gamma * reward + config.delta * pin
    accepted = score > config.threshold
    if accepted:
        alone = evidence > config.threshold
        reason = "novel" if alone else "rewarded" if evidence + config.gamma * reward > config.threshold else "pinned"
    else:
        reason = "duplicate" if novelty < _DUPLICATE else "predictable" if surprise < _PREDICTABLE else "weak"
    return GateDecision(
        session=episode.session,
        episode_id=episode.episode_id,
        nats=nats,
        surprise=surprise,
        novelty=novelty,
        reward=reward,
        pin=pin,
        score=score,
        accepted=accepted,
        reason=reason,
        nearest=nearest,
    )


def _judged(episode: Episode, decision: GateDecision, config: GateConfig) -> Episode:
    """The episode with its verdict; salience is the share of the largest score that the weights allow."""
    largest = config.alpha + config.beta + config.gamma + config.delta
    return replace(
        episode,
        surprise=decision.surprise,
        novelty=decision.novelty,
        gate_score=decision.score,
        accepted=decision.accepted,
        salience=decision.score / largest if largest > 0 else 0.0,
    )


class _Kept:
    """What was kept so far: the store's, then this session's, whose keys lie in arrays that never move."""

    def __init__(self, stored: Episodes, candidates: Episodes) -> None:
        room = len(candidates)
        self._index = stored.index()
        own = stored.records.where("episode_id", {row.episode_id for row in candidates.rows})
        self._position = {row.identity: i for i, row in zip(own, stored.records.take(own), strict=True)}
        width = stored.code.units.shape[1]
        self._expansion = stored.expansion
        self._units = np.zeros((room, width), np.int32)
        self._activity = np.zeros((room, width), np.float32)
        self._old = len(stored)
        self._stored = stored.rows
        self._new: list[Episode] = []
        self._words: dict[int, frozenset[str]] = {}  # of the rows that were compared

    def novelty(self, episode: Episode, code: SparseCode) -> tuple[float, str]:
        """Novelty in 0..1 of one event, and the id of what it resembles most."""
        old = self._index.cosine(code.units[0], code.activity[0])  # (stored,)
        own = self._position.get(episode.identity)
        if own is not None:
            old[own] = -1.0
        query = code.dense(self._expansion)[0]  # (expansion,)
        count = len(self._new)
        new = np.einsum("ij,ij->i", self._activity[:count], query[self._units[:count]])
        best, nearest = self._most_similar(np.concatenate([old, new]), names_and_numbers(episode.text))
        return float(np.clip(1.0 - best, 0.0, 1.0)), nearest

    def _most_similar(self, cosines: NDArray[np.float32], specifics: frozenset[str]) -> tuple[float, str]:
        """The largest similarity, and whose it is; rows whose cosine cannot reach it are not looked at."""
        best, nearest = 0.0, ""
        for i in _descending(cosines):
            if cosines[i] <= best:
                break
            if i not in self._words:
                self._words[i] = words_of(self._row(i).text)
            similarity = float(cosines[i]) * _UNLIKE ** len(specifics - self._words[i])
            if similarity > best:
                best, nearest = similarity, self._row(i).episode_id
        return best, nearest

    def add(self, episode: Episode, code: SparseCode) -> None:
        count = len(self._new)
        self._units[count] = code.units[0]
        self._activity[count] = code.activity[0]
        self._new.append(episode)

    def _row(self, number: int) -> Episode:
        return self._stored[number] if number < self._old else self._new[number - self._old]


def _descending(cosines: NDArray[np.float32]) -> Iterator[int]:
    """Numbers by falling cosine, ties by number; a look at the first few does not sort the rest."""
    first = largest(cosines, _FEW)
    yield from first.tolist()
    yield from np.argsort(-cosines, kind="stable")[len(first) :].tolist()
