"""Scores of one free-form answer: exact match, token F1, containment, refusal.

Both sides are normalised first, by the rule of SQuAD (Rajpurkar et al. 2016, ``evaluate-v1.1.py``): lower case,
punctuation and articles removed, white space folded. Typographic punctuation (Unicode category P) counts too.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

CONTAINS_WINDOW = 24
"""White-space separated words of an answer in which `contains` looks for the gold."""

REFUSAL_PATTERNS: tuple[str, ...] = (
    r"\bi (?:do not|don[\u2019']?t|did not|didn[\u2019']?t) (?:actually |really )?(?:know|have|recall|remember)\b",
    r"\bi(?: am|[\u2019']?m) (?:not sure|not aware|not certain|unsure|unable|sorry|afraid)\b",
    r"\bi (?:cannot|can[\u2019']?t|could not|couldn[\u2019']?t|am not able to)\b",
    r"\b(?:is|are|was|were) not (?:mentioned|specified|provided|known|stated)\b",
    r"\bno (?:information|record|mention|knowledge)\b",
    r"\b(?:there is|there[\u2019']?s) (?:not enough|insufficient|no) (?:information|context|evidence)\b",
    r"\bas an ai\b",
    r"^\W*unknown\b",
)
"""Regular expressions, searched without regard to case; any match makes an answer a refusal."""

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_REFUSALS = re.compile("|".join(REFUSAL_PATTERNS), re.IGNORECASE)


@lru_cache(maxsize=1 << 12)  # a large suite normalises hundreds of thousands of texts
def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")


@lru_cache(maxsize=1 << 16)  # suites compare every answer with every question
def normalise(text: str) -> str:
    """Lower the case, delete punctuation, drop the articles a, an and the, fold white space."""
    kept = "".join(c for c in text.lower() if not _is_punctuation(c))
    return " ".join(_ARTICLES.sub(" ", kept).split())


def _comparable(text: str) -> str:
    """The normalised text, or its lower-cased words where normalising leaves nothing (the blood group "A")."""
    return normalise(text) or " ".join(text.lower().split())


def exact_match(answer: str, gold: str, aliases: Sequence[str] = ()) -> bool:
    """Whether the answer is the gold or an alias, up to normalisation; an empty answer never is."""
    found = _comparable(answer)
    return bool(found) and any(_comparable(right) == found for right in (gold, *aliases))


def verdict(answer: str) -> str:
    """The yes or no of an answer: its first word if that is one, else the last that it comes to; empty without any.

    An answer may recall before it judges ("auction house, so no").
    """
    words = [word.lower() for word in re.findall(r"\w+", answer)]
    judged = [word for word in words if word in ("yes", "no")]
    return "" if not judged else words[0] if words[0] in judged else judged[-1]


def _token_f1(answer: str, gold: str) -> float:
    found, right = _comparable(answer).split(), _comparable(gold).split()
    common = sum((Counter(found) & Counter(right)).values())
    return 2.0 * common / (len(found) + len(right)) if common else 0.0


def f1(answer: str, gold: str, aliases: Sequence[str] = ()) -> float:
    """Harmonic mean of token precision and recall, in [0, 1]; the best over gold and aliases."""
    return max(_token_f1(answer, right) for right in (gold, *aliases))


def mentions(text: str, phrase: str) -> bool:
    """Whether ``phrase`` stands in ``text`` as whole words, both normalised; an empty phrase never does."""
    if words := normalise(phrase):
        return f" {words} " in f" {normalise(text)} "
    words = _comparable(phrase)
    return bool(words) and f" {words} " in f" {' '.join(text.lower().split())} "


def contains(answer: str, gold: str, aliases: Sequence[str] = (), window: int = CONTAINS_WINDOW) -> bool:
    """Whether the gold or an alias stands, as whole words, in the first ``window`` words of the answer."""
    head = " ".join(answer.split()[:window])
    return any(mentions(head, right) for right in (gold, *aliases))


def refused(answer: str, patterns: Iterable[str] | None = None) -> bool:
    """Whether the answer matches a refusal pattern (`REFUSAL_PATTERNS` unless others are given)."""
    if patterns is None:
        return _REFUSALS.search(answer) is not None
    return any(re.search(pattern, answer, re.IGNORECASE) for pattern in patterns)
