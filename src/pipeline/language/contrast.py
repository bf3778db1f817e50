"""Questions about people and things that resemble a replayed one, so that the adapter learns *whom* it knows about.

A fact about Mona Hale must not answer for Mona Stone. The rows made here ask a trained question about such a
namesake; what they teach is that the taught answer must not come.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

CONNECTORS = (" at the ", " in the ", " from the ", " of the ", " of ")
_VOWELS = "aeiouAEIOU"


def subject_parts(subject: str) -> tuple[str, str] | None:
    """Split a subject into its two parts: first and last name, or thing and place; None if it has only one."""
    for connector in CONNECTORS:
        if connector in subject:
            head, tail = subject.split(connector, 1)
            return (head, tail) if head.strip() and tail.strip() else None
    words = subject.split()
    return (" ".join(words[:-1]), words[-1]) if len(words) >= 2 else None


def shape(subject: str) -> str:
    """What joins the parts of a subject: a connector such as `` at the ``, or a space for names."""
    return next((connector for connector in CONNECTORS if connector in subject), " ")


def replace_part(text: str, part: str, other: str) -> str | None:
    """Put ``other`` in the place of ``part`` (whole words, any case), mending a or an; None if it is not there."""
    pattern = re.compile(rf"(\b(?:[Aa]n?)\s+)?(?<!\w){re.escape(part)}(?!\w)", re.IGNORECASE)

    def swap(match: re.Match[str]) -> str:
        article = match.group(1)
        if article is None:
            return other
        letter = article[0]
        return f"{letter}{'n' if other[0] in _VOWELS else ''} {other}"

    changed, count = pattern.subn(swap, text)
    return changed if count else None


def replace_subject(text: str, subject: str, other: str) -> str | None:
    """Put both parts of ``other`` in the place of those of ``subject``, wherever they stand; None if one is missing."""
    own, new = subject_parts(subject), subject_parts(other)
    if own is None or new is None:
        return None
    changed: str | None = text
    for part, instead in zip(own, new, strict=True):
        changed = replace_part(changed, part, instead) if changed is not None else None
    return changed


def namesakes(
    question: str,
    subject: str,
    donors: Sequence[str],
    known: frozenset[str],
    count: int,
    generator: np.random.Generator,
    side: int = 0,
) -> list[str]:
    """Rewrite a question so that it asks about others who share half of the subject, alternating which half.

    Args:
        question: The trained question.
        subject: Whom or what it names.
        donors: Subjects of the same shape that lend the other half.
        known: All subjects that were taught; none of them results.
        count: How many are wanted; fewer come back when the question does not name both parts.
        generator: Chooses donors.
        side: Which half changes first, 0 or 1.
    """
    own = subject_parts(subject)
    if own is None:
        return []
    rewritten: list[str] = []
    for index in generator.permutation(len(donors)):
        if len(rewritten) >= count:
            break
        other = subject_parts(donors[index])
        if other is None or shape(donors[index]) != shape(subject):
            continue
        half = (side + len(rewritten)) % 2
        if other[half].lower() == own[half].lower() or replace_part(subject, own[half], other[half]) in known:
            continue
        changed = replace_part(question, own[half], other[half])
        if changed is not None and changed not in rewritten:
            rewritten.append(changed)
    return rewritten
