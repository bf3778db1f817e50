"""Questions about pairs of places that no training form names together: what a map allows and a list of facts does not.

``unseen_next`` asks for the first place on the shortest way, ``unseen_steps`` for its length, and ``unseen_walk`` for
the place where two steps end, both of which were taught alone. Nothing is ever trained on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

import yaml

from pipeline.suites.districts import Dealt
from pipeline.suites.events import fill
from pipeline.suites.types import Question
from pipeline.suites.walks import direction_between

UNSEEN = ("unseen_next", "unseen_steps", "unseen_walk")
_NUMBERS = ("zero", "one", "two", "three", "four", "five")


@cache
def _templates() -> dict[str, list[dict[str, Any]]]:
    text = files(__package__).joinpath("data", "spatial", "unseen.yaml").read_text(encoding="utf-8")
    read: dict[str, list[dict[str, Any]]] = yaml.safe_load(text)
    return read


def unseen_template(form: str) -> str:
    """The template of a form, such as ``unseen_walk/test-1``."""
    kind, number = form.removeprefix("unseen_").split("/test-")
    template: str = _templates()[kind][int(number) - 1]["question"]
    return template


def unseen_questions(dealt: Iterable[Dealt]) -> tuple[Question, ...]:
    """The questions about the unseen pairs of whole districts, pair by pair; all of them are ``test``."""
    return tuple(question for district in dealt for pair in district.unseen for question in _of_pair(district, pair))


def _of_pair(dealt: Dealt, pair: tuple[str, str]) -> list[Question]:
    start, goal = pair
    way = dealt.district.route(start, goal)
    if way is None:
        return []
    steps = len(way) - 1
    slots = {"start": start, "goal": goal}
    spelled = (_NUMBERS[steps], f"{steps} steps", f"{_NUMBERS[steps]} steps")
    asked = [*_asked("next", slots, way[1]), *_asked("steps", slots, str(steps), spelled)]
    if pair in dealt.district.chained:
        first, then = (direction_between(dealt.district, step) for step in pairwise(way))
        asked += _asked("walk", {"start": start, "direction": first, "then": then}, goal)
    return asked


def _asked(kind: str, slots: dict[str, str], answer: str, aliases: Sequence[str] = ()) -> list[Question]:
    item = "/".join(("unseen", *slots.values()))
    return [
        Question(
            item_id=item,
            relation=f"unseen_{kind}",
            form=f"unseen_{kind}/test-{number}",
            split="test",
            question=fill(row["question"], slots),
            answer=answer,
            aliases=tuple(aliases),
        )
        for number, row in enumerate(_templates()[kind], start=1)
    ]
