"""Sanity: what the base knew before it slept, asked in four fixed panels that nothing trains on.

    questions = load_sanity()                    # all of them, in the order of the files
    sample = subset(questions, 150)              # the same 150 on every machine

Panels: ``general`` (short everyday questions), ``world`` (facts about the world), ``skills`` (copying, choosing,
arithmetic, words) and ``context`` (reading from a short passage). The files are hashed in `SANITY_SHA256`, so that no
run can change them unseen; `pipeline.suites.disjoint` keeps every subject and answer out of what sleep rehearses.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from pipeline.errors import DataError
from pipeline.suites.shipped import DATA, check_digest, shipped_bytes, shipped_rows

Panel = Literal["general", "world", "skills", "context"]
Half = Literal["dev", "test"]
PANELS: tuple[Panel, ...] = get_args(Panel)
SANITY_SHA256 = "eba3e08cff09f2dc8d6acc1b9180af1fcfdd5622a8c7f7b6cfa5e9898526ba50"
"""SHA-256 over the panels' files, in the order of `PANELS`."""


@dataclass(frozen=True)
class SanityQuestion:
    """One question of a panel.

    Attributes:
        id: Unique, starts with the panel; in ``skills`` the kind of skill follows (``skills-copy-07``).
        panel: Which kind of knowledge it samples.
        half: ``dev`` may decide promotion; ``test`` is only reported.
        question: The whole user turn, for ``context`` with its passage.
        answer: The gold answer.
        aliases: Other answers that count as right.
        subject: What the question is about; never occurs in rehearsal.
    """

    id: str
    panel: Panel
    half: Half
    question: str
    answer: str
    aliases: tuple[str, ...]
    subject: str


@lru_cache(maxsize=4)
def load_sanity(folder: Path = DATA / "sanity") -> tuple[SanityQuestion, ...]:
    """All questions of the shipped panels, in the order of the files.

    Raises:
        DataError: A file is missing or malformed, or the panels are not those that were fixed.
    """
    paths = [folder / f"{panel}.jsonl" for panel in PANELS]
    contents = [shipped_bytes(path) for path in paths]
    keys = [field.name for field in fields(SanityQuestion)]
    questions = tuple(
        _question(row, place)
        for path, content in zip(paths, contents, strict=True)
        for place, row in shipped_rows(content, path, keys)
    )
    check_digest(contents, SANITY_SHA256, f"the sanity panels in {folder}")
    return questions


def _question(row: dict[str, Any], place: str) -> SanityQuestion:
    if row["panel"] not in PANELS or row["half"] not in get_args(Half):
        raise DataError(f"{place}: unknown panel {row['panel']!r} or half {row['half']!r}")
    return SanityQuestion(**{**row, "aliases": tuple(row["aliases"])})


def subset(questions: Sequence[SanityQuestion], n: int) -> tuple[SanityQuestion, ...]:
    """A fixed sample of ``n`` questions, stratified by panel and half, in the order given.

    Every stratum gives its share of ``n`` (largest remainders); within a stratum those questions are taken whose id has
    the smallest SHA-256.

    Raises:
        DataError: ``n`` is negative, or larger than the number of questions.
    """
    if not 0 <= n <= len(questions):
        raise DataError(f"a sanity subset of {n} questions was asked for, but there are {len(questions)}")
    strata: dict[tuple[str, str], list[str]] = defaultdict(list)
    for question in questions:
        strata[question.panel, question.half].append(question.id)
    shares = {key: n * len(members) / len(questions) for key, members in strata.items()}
    quota = {key: int(share) for key, share in shares.items()}
    by_remainder = sorted(strata, key=lambda key: (quota[key] - shares[key], key))
    for key in by_remainder[: n - sum(quota.values())]:
        quota[key] += 1
    chosen = {identifier for key, members in strata.items() for identifier in sorted(members, key=_rank)[: quota[key]]}
    return tuple(q for q in questions if q.id in chosen)


def _rank(identifier: str) -> str:
    return hashlib.sha256(f"sanity/{identifier}".encode()).hexdigest()
