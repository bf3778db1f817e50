"""One remembered event, many of them with their keys, and their Parquet form (schema ``episodes/1``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StoreError
from pipeline.stores.records import Records
from pipeline.stores.sparse import Expansion, InvertedIndex, SparseCode
from pipeline.suites.types import Fact, Question

EPISODE_SCHEMA = "episodes/1"
EPISODIC = "episodic"
"""This store's name among the kinds of stores."""


@dataclass(frozen=True)
class Episode:
    """One row of the episodic store.

    Attributes:
        episode_id: The fact's id, unique within its session.
        session: The wake session.
        text: The event as experienced; what retrieval returns.
        digest: SHA-256 (hex) of everything that training may learn from it; never of test questions.
        subject: Whom or what the event is about.
        relation: What its questions ask.
        source: Where it came from, for example ``suite:episodic`` or a file name.
        created: Wake step, counted from 0 within its session.
        reward: Whether it was rewarding.
        pin: Whether a user pinned it; such a row neither decays nor is pruned.
        consolidate: Whether sleep may replay it; False for distractors.
        forms: JSON of statements, train and probe questions; see :func:`forms_of`.
        version: 1, and one more each time the same id came with another digest.
        surprise: Squashed surprise at writing, 0..1.
        novelty: Novelty at writing, 0..1.
        gate_score: The gate's S.
        accepted: The gate's verdict; a row can be kept although refused (``gate.enforce=false``).
        salience: 0..1, from the gate's score, halving over ``store.half_life_nights``.
        usage: How often retrieval used it.
        stage: Step on the ladder of spaced replay.
        due: First night in which it is due again.
        passes: Probe questions passed with the memory off; 0 means not consolidated yet.
        night: In which it was written, as its store counts; 0 in a fresh store.
        last_used: Night in which retrieval last used it, as its store counts; -1 is never.
        loss: Cross-entropy of its questions when it was last trained, nats per answer token.
        details: What a store of relations or places reads beside the text, as JSON; empty for an event.
    """

    episode_id: str
    session: str
    text: str
    digest: str
    subject: str = ""
    relation: str = "fact"
    source: str = ""
    created: int = 0
    reward: bool = False
    pin: bool = False
    consolidate: bool = True
    forms: str = '{"questions": [], "statements": []}'
    version: int = 1
    surprise: float = 0.0
    novelty: float = 0.0
    gate_score: float = 0.0
    accepted: bool = False
    salience: float = 0.0
    usage: float = 0.0
    stage: int = 0
    due: int = 0
    passes: int = 0
    night: int = 0
    last_used: int = -1
    loss: float = 0.0
    details: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """(session, id): what the same event has in common over its versions."""
        return (self.session, self.episode_id)


@dataclass(frozen=True)
class Forms:
    """What may be replayed of one episode: statements, train questions, and the probe question."""

    statements: tuple[str, ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Episodes:
    """n episodes with their keys.

    Attributes:
        rows: The episodes, as columns; any sequence of episodes may be given.
        keys: Dense unit vectors, shape (n, dimension), float32.
        code: Their sparse codes.
        expansion: Units of the sparse code.
    """

    rows: Sequence[Episode]
    keys: NDArray[np.float32]
    code: SparseCode
    expansion: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", Records.of(Episode, self.rows))

    @property
    def records(self) -> Records[Episode]:
        """The episodes with what columns can do at once."""
        assert isinstance(self.rows, Records)
        return self.rows

    def __len__(self) -> int:
        return len(self.rows)

    def index(self) -> InvertedIndex:
        """Inverted index over the sparse codes."""
        return InvertedIndex(self.code, self.expansion)

    def select(self, rows: Sequence[int] | NDArray[np.intp]) -> Episodes:
        """The rows of these numbers, in this order."""
        chosen = np.asarray(rows, dtype=np.intp)
        if len(chosen) == len(self) and np.array_equal(chosen, np.arange(len(self))):
            return self  # all of them: a large store is not copied to leave nothing out
        return Episodes(self.records.take(chosen), self.keys[chosen], self.code[chosen], self.expansion)

    def without(self, numbers: Collection[int]) -> Episodes:
        """All rows but those of these numbers."""
        gone = set(numbers)
        return self.select([number for number in range(len(self)) if number not in gone])

    def numbers(self, identities: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Numbers of the rows that have these sessions and ids, by both."""
        rows, wanted = self.records, set(identities)
        near = rows.where("episode_id", {name for _, name in wanted})
        sessions, names = (rows.column(name) for name in ("session", "episode_id"))
        return {(sessions[i], names[i]): i for i in near if (sessions[i], names[i]) in wanted}

    def join(self, other: Episodes) -> Episodes:
        """These rows, then those of ``other``."""
        if not len(self) or not len(other):
            return self if len(self) else other
        return Episodes(
            self.records.join(other.rows),
            np.concatenate([self.keys, other.keys]),
            SparseCode.concatenate(self.code, other.code),
            self.expansion,
        )

    @staticmethod
    def of(rows: Sequence[Episode], keys: NDArray[np.float32], expansion: Expansion) -> Episodes:
        """Episodes with the codes of their dense ``keys``, shape (n, dimension)."""
        return Episodes(rows, np.asarray(keys, np.float32), expansion.encode(keys), expansion.units)

    @staticmethod
    def empty(expansion: Expansion) -> Episodes:
        """No episodes."""
        keys = np.zeros((0, expansion.dimension), np.float32)
        return Episodes((), keys, SparseCode.empty(expansion.active), expansion.units)


def episode_of(fact: Fact, *, source: str, created: int, session: str | None = None) -> Episode:
    """The candidate episode of one fact; test questions stay behind.

    Args:
        fact: A fact of a suite or of the user's file.
        source: Where it came from.
        created: Wake step.
        session: Replaces the fact's own session.
    """
    forms = _forms_json(fact)
    learnt = [fact.text, fact.subject, fact.relation, fact.reward, fact.pin, fact.consolidate, forms]
    learnt += [fact.details] if fact.details else []  # events keep the digest that they had before there were details
    return Episode(
        episode_id=fact.id,
        session=session or fact.session,
        text=fact.text,
        digest=hashlib.sha256(json.dumps(learnt, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest(),
        subject=fact.subject,
        relation=fact.relation,
        source=source,
        created=created,
        reward=fact.reward,
        pin=fact.pin,
        consolidate=fact.consolidate,
        forms=forms,
        details=fact.details,
    )


def forms_of(forms: str, item_id: str) -> Forms:
    """Reads the ``forms`` column of the episode ``item_id`` back."""
    stored = json.loads(forms)
    questions = tuple(
        Question(
            **{
                **question,
                "item_id": item_id,
                "aliases": tuple(question["aliases"]),
                "history": tuple((user, assistant) for user, assistant in question["history"]),
            }
        )
        for question in stored["questions"]
    )
    return Forms(tuple(stored["statements"]), questions)


def refuse_ambiguous_ids(stored: Sequence[Episode], rows: Sequence[Episode]) -> None:
    """Feedback names episodes by id alone, so an id belongs to one session, and to one content per writing.

    Raises:
        StoreError: One id stands for different content, or for episodes of two sessions.
    """
    sessions = {row.episode_id: row.session for row in stored}
    digests: dict[str, str] = {}
    for row in rows:
        if sessions.setdefault(row.episode_id, row.session) != row.session:
            raise StoreError(
                f"id {row.episode_id!r} stands for episodes of two sessions, {sessions[row.episode_id]!r} and "
                f"{row.session!r}, in one store; give each fact its own id, or each session its own store"
            )
        if digests.setdefault(row.episode_id, row.digest) != row.digest:
            raise StoreError(
                f"id {row.episode_id!r} of session {row.session!r} comes twice with different content; "
                "give each fact its own id"
            )


def _forms_json(fact: Fact) -> str:
    names = [field.name for field in fields(Question) if field.name != "item_id"]
    questions = [
        {name: getattr(question, name) for name in names} for question in fact.questions if question.split != "test"
    ]
    return json.dumps({"questions": questions, "statements": fact.statements}, sort_keys=True, ensure_ascii=False)
