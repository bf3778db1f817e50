"""Keep rehearsal apart from sanity: nothing that sleep rehearses may name a sanity question's subject or answer.

The rule, on words (lower case, without accents, articles and plural endings), always on whole words:

1. A rehearsal prompt holds no sanity subject and no sanity answer or alias. Answers that are also function-like words
   (`LIGHT`: yes and no, numbers up to twelve, single letters, colours) are allowed in a prompt: they
   carry the sentence, not the knowledge.
2. A short reply (at most `SHORT_REPLY` words) holds no sanity subject and no sanity answer, light words included.
3. A longer reply is cut before its first sentence that holds a subject or an answer, light answers excepted; what
   remains is judged again as a short reply if it has become one. Nothing left means that the row is dropped.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from pipeline.suites.sanity import SanityQuestion

SHORT_REPLY = 12
"""Words up to which a reply counts as a bare answer, and may hold no sanity answer of any kind."""

_LIGHT_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve 0 1 2 3 4 5 6 7 8 9 10 11 12"
_LIGHT_COLOURS = "black white red green blue yellow orange purple violet brown pink grey gray"
LIGHT = frozenset({"yes", "no", *string.ascii_lowercase, *_LIGHT_NUMBERS.split(), *_LIGHT_COLOURS.split()})
"""Function-like answers: they count in a short reply, never in a prompt or in a long reply."""

_ARTICLES = frozenset({"a", "an", "the"})
_WORD = re.compile(r"[a-z0-9]+")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")
_DANGLING = re.compile(r"(?:^|\s)(?:[-*•]|\d+[.)])$")

Phrase = tuple[str, ...]
Index = dict[str, tuple[Phrase, ...]]


def words_of(text: str) -> list[str]:
    """Lower-case words without accents, articles and simple plural endings (``Cherries`` and ``cherry`` agree)."""
    plain = unicodedata.normalize("NFKD", text.lower())
    found = _WORD.findall("".join(c for c in plain if not unicodedata.combining(c)))
    return [_singular(word) for word in found if word not in _ARTICLES] or found


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 5 and word.endswith(("ches", "shes", "xes", "sses", "oes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def conflicts(text: str, sanity: Sequence[SanityQuestion], *, light: bool = True) -> list[str]:
    """Sanity subjects, answers and aliases that occur in a text as whole words, sorted.

    Args:
        text: A prompt or a reply.
        sanity: The questions to stay away from; their index is cached.
        light: Count the function-like answers of `LIGHT` too (right for a short reply).
    """
    heavy, everything = _indices(tuple(sanity))
    return sorted({" ".join(phrase) for phrase in _matches(text, everything if light else heavy)})


def prompt_conflicts(prompt: str, sanity: Sequence[SanityQuestion]) -> list[str]:
    """What makes a prompt unfit for rehearsal (rule 1); empty when it is fit."""
    return conflicts(prompt, sanity, light=False)


def clean_reply(prompt: str, reply: str, sanity: Sequence[SanityQuestion]) -> str | None:
    """The part of a base-written reply that may be rehearsed, or None when the row must be dropped.

    A result shorter than ``reply.strip()`` was cut at the end of a sentence: train it without an end-of-turn token, or
    the model learns to stop early.
    """
    heavy, everything = _indices(tuple(sanity))
    if any(_matches(prompt, heavy)):
        return None
    kept = reply.strip()
    if len(kept.split()) > SHORT_REPLY:
        kept = _before_conflict(kept, heavy)
    if not words_of(kept):
        return None
    if len(kept.split()) <= SHORT_REPLY and any(_matches(kept, everything)):
        return None
    return kept


def _before_conflict(reply: str, index: Index) -> str:
    """The sentences of a reply up to its first one with a conflict, without a dangling list marker."""
    ends = [match.end() for match in _SENTENCE_END.finditer(reply)] + [len(reply)]
    start = 0
    for end in ends:
        # From the first word on: a phrase may also run across the border of two sentences.
        if any(_matches(reply[:end], index)):
            return _DANGLING.sub("", reply[:start].rstrip()).rstrip()
        start = end
    return reply


def _matches(text: str, index: Index) -> Iterator[Phrase]:
    """The phrases of an index that occur in a text."""
    words = words_of(text)
    for position, word in enumerate(words):
        for phrase in index.get(word, ()):
            if tuple(words[position : position + len(phrase)]) == phrase:
                yield phrase


@lru_cache(maxsize=8)
def _indices(sanity: tuple[SanityQuestion, ...]) -> tuple[Index, Index]:
    """Phrases by first word: without and with the light answers."""
    subjects = {tuple(words_of(q.subject)) for q in sanity}
    answers = {tuple(words_of(a)) for q in sanity for a in (q.answer, *q.aliases)}
    weighty = {phrase for phrase in answers if not (len(phrase) == 1 and phrase[0] in LIGHT)}
    return _by_first_word(subjects | weighty), _by_first_word(subjects | answers)


def _by_first_word(phrases: Iterable[Phrase]) -> Index:
    index: dict[str, list[Phrase]] = defaultdict(list)
    for phrase in sorted(phrases):
        if phrase:
            index[phrase[0]].append(phrase)
    return {first: tuple(members) for first, members in index.items()}
