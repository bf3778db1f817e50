"""Which questions runs answer differently: right in one and wrong in another, and right again later.

changes = answer_changes([read_answers(run) for run in runs], ids)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifacts import read_table
from pipeline.artifacts.atomic import table_schema
from pipeline.evaluation.answers import SCHEMA_NAME
from pipeline.evaluation.arms import ARMS, GENERAL_ARMS
from pipeline.evaluation.selection import fixed_subset

Key = tuple[str, str, str, str]  # arm, item, relation, form
_COLUMNS = ("arm", "item_id", "relation", "form", "answer", "gold", "em", "contains")
_FIRST = ("post_off_heldout", "earlier_heldout", "post_off", "post_off_probe", "sanity_post", "post_on")


@dataclass(frozen=True)
class Answer:
    """What one run answered, and whether that was right."""

    text: str
    gold: str
    right: bool


@dataclass(frozen=True)
class AnswerDifferences:
    """Answers of a later run against those of the first, over the questions that both were asked.

    Attributes:
        run_id: The later run.
        common: Questions of both.
        lost: Right in the first, wrong in the later one.
        won: Wrong in the first, right in the later one.
        reworded: As right as before, in other words.
        by_arm: common, lost, won, reworded by arm, where anything differs.
    """

    run_id: str
    common: int
    lost: int
    won: int
    reworded: int
    by_arm: Mapping[str, tuple[int, int, int, int]]

    @property
    def different(self) -> int:
        """Questions that are answered in other words, right or wrong."""
        return self.lost + self.won + self.reworded


@dataclass(frozen=True)
class Turn:
    """One question that is right in some runs and wrong in others; None for a run that was not asked."""

    key: Key
    gold: str
    answers: tuple[Answer | None, ...]


@dataclass(frozen=True)
class AnswerChanges:
    """All that differs between the answers of runs, in the order in which they were named."""

    against_first: tuple[AnswerDifferences, ...]
    turns: tuple[Turn, ...]


def read_answers(run: Path) -> dict[Key, Answer]:
    """Answers of a run by arm, item, relation and form; empty for a run without answers in words."""
    path = run / "evaluate" / "answers.parquet"
    if not path.exists() or table_schema(path) != SCHEMA_NAME:
        return {}
    rows = read_table(path, SCHEMA_NAME).select(list(_COLUMNS)).to_pylist()
    return {(row["arm"], row["item_id"], row["relation"], row["form"]): _answer(row) for row in rows}


def _answer(row: Mapping[str, object]) -> Answer:
    """General questions are right when the answer contains the gold, all others when it is the gold."""
    score = row["contains"] if row["arm"] in GENERAL_ARMS else row["em"]
    return Answer(str(row["answer"]), str(row["gold"]), bool(score))


def answer_changes(answers: Sequence[Mapping[Key, Answer]], run_ids: Sequence[str]) -> AnswerChanges:
    """Compare two or more runs.

    Args:
        answers: As `read_answers` returns them.
        run_ids: Of the same runs.
    """
    first, *others = answers
    told = (_differences(run_id, first, other) for run_id, other in zip(run_ids[1:], others, strict=True))
    return AnswerChanges(tuple(told), _turns(answers))


def _differences(run_id: str, first: Mapping[Key, Answer], other: Mapping[Key, Answer]) -> AnswerDifferences:
    by_arm: dict[str, list[int]] = {}
    for key in (key for key in first if key in other):
        old, new = first[key], other[key]
        counts = by_arm.setdefault(key[0], [0, 0, 0, 0])
        counts[0] += 1
        counts[1] += old.right and not new.right
        counts[2] += new.right and not old.right
        counts[3] += old.right == new.right and old.text != new.text
    common, lost, won, reworded = (sum(counts[i] for counts in by_arm.values()) for i in range(4))
    ranked = sorted(by_arm, key=_rank)
    shown = {arm: (c[0], c[1], c[2], c[3]) for arm in ranked if any((c := by_arm[arm])[1:])}
    return AnswerDifferences(run_id, common, lost, won, reworded, shown)


def _turns(answers: Sequence[Mapping[Key, Answer]]) -> tuple[Turn, ...]:
    keys = dict.fromkeys(key for run in answers for key in run)
    found = []
    for key in keys:
        asked = tuple(run.get(key) for run in answers)
        known = [answer for answer in asked if answer is not None]
        if len({answer.right for answer in known}) > 1:
            found.append(Turn(key, known[0].gold, asked))
    return tuple(sorted(found, key=lambda turn: (_rank(turn.key[0]), turn.key)))


def _rank(arm: str) -> tuple[int, int]:
    """What the night is for comes first: unseen phrasings, earlier nights, taught ones, general questions."""
    order = list(ARMS)
    first = _FIRST.index(arm) if arm in _FIRST else len(_FIRST)
    return first, order.index(arm) if arm in order else len(order)


def some_turns(turns: Sequence[Turn], n: int) -> list[Turn]:
    """At most ``n`` of them, chosen by hash within each arm, arms in their order."""
    arms = dict.fromkeys(turn.key[0] for turn in turns)
    picked: list[Turn] = []
    for arm in arms:
        own = [turn for turn in turns if turn.key[0] == arm]
        picked += fixed_subset(own, n - len(picked), lambda turn: "\x00".join(turn.key), salt="compare")
        if len(picked) >= n:
            break
    return picked
