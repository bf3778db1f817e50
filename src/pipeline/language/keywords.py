"""Questions cut down to what they cannot do without, as people type them into a search box or ask in passing.

A model that learned one phrasing of a question leans on all of its words. Asked with a random part of them it learns
to answer to the subject and the question word, and finds the answer again in phrasings that share little else
(word dropout: Iyyer et al. 2015, §3.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.evaluation.prompts import holds
from pipeline.evaluation.scoring import normalise

FEWEST, MOST = 0.3, 0.9
"""Share of the other words that a keyword query leaves out: drawn anew, evenly between these, for each query."""
ELLIPTIC = ("{s}: {w}?", "{W}, with {s}?", "This is about {s}. {W}?", "About {s}, {w} was it again?")

SPARE = frozenset(
    re.findall(
        r"\w+",
        """
    a about an and are as at be been by can could did do does for from had has have he her his how i in into is it its
    me my of on or our please she that the their they this to was we were what when where which who whom whose why will
    with would you your
    """,
    )
)
"""Words without which a question still asks the same."""
_NAME_OR_NUMBER = re.compile(r"\b(?:[A-Z][\w'’-]*|\d[\w.,:]*)")
_QUESTION_WORD = re.compile(
    r"(?:(?:about|at|by|for|from|in|into|of|on|to|under|with) )?"
    r"(?:where|when|what|who|whom|whose|which|why|how(?: (?:many|much|old|often|long|far|big|tall|fast|quickly))?)\b",
    re.IGNORECASE,
)


def anchors(question: str, subject: str) -> list[str]:
    """What must stay in any rewrite: the subject, else names and numbers, else every word of substance."""
    if subject and holds(question, subject):
        return [subject]
    first = question.split(" ", 1)[0]
    names = [n for n in _NAME_OR_NUMBER.findall(question) if n != first or n.lower() not in SPARE]
    names = [re.sub(r"['’]s?$", "", name) for name in names if name != "I"]
    return names or [word for word in normalise(question).split() if word not in SPARE]


def question_word(question: str) -> str:
    """The words that say what kind of answer is wanted, such as "for how long"; empty for other sentences."""
    found = _QUESTION_WORD.match(question)
    return found.group() if found else ""


def keyword_queries(question: str, subject: str, count: int, rng: np.random.Generator) -> Iterator[str]:
    """Up to ``count`` different queries of the question word, the `anchors`, and a random part of the other words.

    Args:
        question: A question as the user wrote it; requests and clozes have no keyword queries.
        subject: Whom or what it names; may be empty.
        count: How often words are drawn; the same ones drawn again bring nothing.
        rng: Chooses the words.
    """
    opening = question_word(question)
    rest = question[len(opening) :].rstrip("?. ")
    kept = sorted((part for part in anchors(question, subject) if part in rest), key=len, reverse=True)
    if not opening or not kept or not question.endswith("?"):
        return
    parts = re.split(rf"\b((?:{'|'.join(map(re.escape, kept))})(?:['’]s)?)(?!\w)", rest)
    seen = {question}
    for _ in range(count):
        omitted = rng.uniform(FEWEST, MOST)
        words = [opening]
        for number, part in enumerate(parts):  # every second part is an anchor
            words += [part] if number % 2 else [word for word in part.split() if rng.random() >= omitted]
        query = f"{' '.join(words)}?"
        if query not in seen:
            seen.add(query)
            yield query


def elliptic_questions(question: str, subject: str) -> list[str]:
    """The question word and the subject in a few frames; none where the question lacks either."""
    opening = question_word(question)
    if not opening or not subject or not holds(question, subject):
        return []
    small, large = opening[0].lower() + opening[1:], opening[0].upper() + opening[1:]
    return [frame.format(s=subject, w=small, W=large) for frame in ELLIPTIC]


def told_apart(words: str, others: Sequence[str]) -> bool:
    """Whether none of the other questions holds all of these words, so that they cannot be meant."""
    wanted = _content(words)
    return not any(wanted <= _content(other) for other in others)


def _content(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower())) - {"a", "an", "the"}
