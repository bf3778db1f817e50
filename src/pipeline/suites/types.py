"""What a suite is made of: facts, the questions about them, and the people it never teaches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

Split = Literal["train", "probe", "test"]
Style = Literal["question", "cloze", "request", "statement"]
Kind = Literal["episodic", "relational", "spatial"]
"""Which memory a fact belongs to."""
Use = Literal["yes_no", "reversed", "tell", "implied"]
USES: tuple[Use, ...] = get_args(Use)
"""What can be done with a fact beside asking for it, see `pipeline.suites.uses`."""
YES, NO = "Yes", "No"
DOCUMENT = "document"
"""Relation of a passage and of all its questions, each of which asks something else."""


@dataclass(frozen=True)
class Question:
    """One way to ask for one answer, closed book.

    Attributes:
        item_id: The fact that holds the answer.
        relation: What is asked, for example ``person_place``.
        form: Name of the phrasing, unique within its relation (``person_place/test-3``).
        split: Who may read it; ``test`` questions decide nothing.
        question: The text of the last user turn, also what retrieval is asked.
        answer: The gold answer.
        aliases: Other spellings that count as right.
        style: A direct question, a cloze, or an indirect request.
        system: A system prompt that replaces the model's default one.
        history: Earlier (user, assistant) turns, about something else.
    """

    item_id: str
    relation: str
    form: str
    split: Split
    question: str
    answer: str
    aliases: tuple[str, ...] = ()
    style: Style = "question"
    system: str | None = None
    history: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Fact:
    """One experience of a wake session, and the questions that ask for it.

    Attributes:
        id: Unique within its session.
        text: The event as it was experienced; what the store keeps and retrieval returns.
        session: The wake session in which it happened.
        subject: Whom or what the questions name; unique within a suite.
        relation: The one relation that its questions ask.
        reward: Whether the event was rewarding (raises the gate's score).
        pin: Whether a user pinned it (raises the gate's score).
        consolidate: False for distractors, which the store holds and sleep never trains.
        statements: Declarative rewrites that training may use beside the questions.
        questions: All splits.
        kind: The memory that takes it in.
        details: What that memory reads of it beside the text, as JSON; empty where the text is all there is.
    """

    id: str
    text: str
    session: str = "default"
    subject: str = ""
    relation: str = "fact"
    reward: bool = False
    pin: bool = False
    consolidate: bool = True
    statements: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    kind: Kind = "episodic"
    details: str = ""

    def asked(self, split: Split) -> tuple[Question, ...]:
        """The questions of one split, in their order."""
        return tuple(q for q in self.questions if q.split == split)


@dataclass(frozen=True)
class Recall:
    """A memory-ON question together with the text that retrieval must bring (conflict, new facts)."""

    memory: str
    question: Question


@dataclass(frozen=True)
class Choice:
    """Answers of which the right one should be the likelier, word for word; nothing is generated.

    Attributes:
        question: What is asked; its own answer is not among these.
        right: An answer that agrees with what was taught, in other words than it.
        wrong: Answers that differ from the right one in what they claim.
    """

    question: Question
    right: str
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class SuiteStatistics:
    """What a perfect memory and a guesser can reach, computed from the questions alone.

    Attributes:
        ceiling: The best EM that any function of the question rendering can reach.
        majority: Share of each relation's most frequent answer: in the distribution that a generator draws from where
            there is one, else in the suite itself.
        distinct: Number of different answers per relation.
        jaccard: Per test form, the largest token overlap with any train or probe form of its relation, slots filled.
        jaccard_masked: The same between the templates, slots left out.
        majority_sample: Share of each relation's most frequent answer in the suite itself.
        entropy: Entropy of each relation's answers in the suite, in bits.
    """

    ceiling: float
    majority: dict[str, float]
    distinct: dict[str, int]
    jaccard: dict[str, float] = field(default_factory=dict)
    majority_sample: dict[str, float] = field(default_factory=dict)
    jaccard_masked: dict[str, float] = field(default_factory=dict)
    entropy: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """A complete examination: what is taught, what is asked, and every control.

    Attributes:
        name: ``episodic``, ``facts``, …
        taught: Facts that are stored, trained and scored.
        distractors: Facts of the same session that are stored and neither trained nor scored.
        untaught: ``test`` questions about matched people who were never taught; gold is the twin's own answer.
        near_miss: ``test`` questions about people who share one name with a taught one; gold is the *taught* answer.
        conflict: Taught questions with a memory text that contradicts what was taught; gold is the text's answer.
        new: Facts that are never consolidated, with their memory text.
        unseen: ``test`` questions about what follows from taught facts together, which no training form names; they
            are asked and reported apart.
        statistics: Ceiling, majority shares, overlap of test forms with trained forms.
        notes: What a reader of the report must know, for example that train questions stand in for test questions.
        world: ``test`` questions about the world that nobody teaches: whether the night forgets them.
        choices: Answers whose likelihoods are compared after the night and before it.
    """

    name: str
    taught: tuple[Fact, ...]
    distractors: tuple[Fact, ...]
    untaught: tuple[Question, ...]
    near_miss: tuple[Question, ...]
    conflict: tuple[Recall, ...]
    new: tuple[Recall, ...]
    statistics: SuiteStatistics
    unseen: tuple[Question, ...] = ()
    notes: tuple[str, ...] = ()
    world: tuple[Question, ...] = ()
    choices: tuple[Choice, ...] = ()
