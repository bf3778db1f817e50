"""Values dealt like cards: near-uniform, without replacement, in an order that only a label decides."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pipeline.errors import DataError

_T = TypeVar("_T")


class Deck(Generic[_T]):
    """Values dealt without replacement; an empty deck is filled and shuffled again."""

    def __init__(self, values: Sequence[_T], label: str, more: Sequence[_T] = ()) -> None:
        """A deck in an order of its own.

        Args:
            values: What is dealt.
            label: Seeds the order (SHA-512 of the text, the same on any machine).
            more: Join ``values`` once none of them is acceptable. Until then they change nothing.
        """
        self._values = list(values)
        self._more = list(more)
        self._random = random.Random(label)
        self._cards: list[_T] = []

    def draw(self, accept: Callable[[_T], bool] = lambda value: True) -> _T:
        """Deal the next acceptable value; the ones passed over keep their place.

        Raises:
            DataError: No value is acceptable.
        """
        for refill in (True, False):
            for position, card in enumerate(self._cards):
                if accept(card):
                    return self._cards.pop(position)
            if refill:
                self._fill(self._values)
        if self._more:
            more, self._more = self._more, []
            self._values += more
            self._fill(more)
            return self.draw(accept)
        raise DataError(
            f"the generator ran out of unused combinations (a slot of {len(self._values)} values); "
            "ask for a smaller suite.n"
        )

    def _fill(self, values: Sequence[_T]) -> None:
        fresh = list(values)
        self._random.shuffle(fresh)
        self._cards.extend(fresh)
