"""What evaluation asks of its neighbours: something that retrieves, and something that answers.

Evaluation imports neither a store nor a language model. A task hands it a `Retriever` and a `Generator`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Memory:
    """One retrieved text.

    Attributes:
        text: The stored event as it was experienced.
        episode_id: Its id in the store.
        score: Cosine similarity to the query, in [-1, 1]; other stores than the episodic one may raise it.
        also: Ids of further episodes whose text it holds, where it joins several.
    """

    text: str
    episode_id: str
    score: float
    also: tuple[str, ...] = ()

    @property
    def episodes(self) -> tuple[str, ...]:
        """Ids of every episode whose text it holds."""
        return (self.episode_id, *self.also)


class Retriever(Protocol):
    """A memory that can be asked in plain text, and that counts how often it was asked and answered."""

    @property
    def requests(self) -> int:
        """Queries received so far."""
        ...

    @property
    def hits(self) -> int:
        """Queries that brought at least one memory."""
        ...

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[Memory]]:
        """Return for each query at most ``k`` memories, best first."""
        ...


@dataclass(frozen=True)
class Window:
    """The prompt of a language model that is to hold as many texts as it can.

    Attributes:
        room: Tokens left for texts and a question beside everything else in the prompt, the answer included.
        length: Tokens of a text.
    """

    room: int
    length: Callable[[str], int]


class Generated(Protocol):
    """One greedy reply, as `pipeline.language` produces it."""

    @property
    def text(self) -> str:
        """The reply without prompt and special tokens."""
        ...

    @property
    def new_tokens(self) -> int:
        """Tokens generated, the end token included."""
        ...

    @property
    def overlong(self) -> bool:
        """Whether the token limit, not the model, ended the reply."""
        ...


class Generator(Protocol):
    """Answers rendered prompts, one reply each and in their order."""

    def __call__(self, prompts: Sequence[str], /) -> Sequence[Generated]:
        """Generate one reply for each prompt."""
        ...
