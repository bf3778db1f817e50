"""What a text names: its words, and which of them are names or numbers."""

from __future__ import annotations

import re

_WORD_OR_STOP = re.compile(r"\w+(?:['’]\w+)*|[.:;!?…](?=\W|$)|\n")
_POSSESSIVE = re.compile(r"['’]s?$")


def words_of(text: str) -> frozenset[str]:
    """The words of a text in lower case, possessives without their ending."""
    return frozenset(_plain(word) for word in _WORD_OR_STOP.findall(text) if _is_word(word))


def names_and_numbers(text: str) -> frozenset[str]:
    """Which of its words begin with a digit or, inside a sentence, with a capital; written as `words_of` does.

    The word that begins a sentence is capitalised by rule, so that it may be no name.
    """
    found, begins = set(), True
    for word in _WORD_OR_STOP.findall(text):
        named = word[0].isdigit() or (word[0].isupper() and not begins)
        if named and word != "I":
            found.add(_plain(word))
        begins = not _is_word(word)
    return frozenset(found)


def _is_word(found: str) -> bool:
    return found[0].isalnum() or found[0] == "_"


def _plain(word: str) -> str:
    return _POSSESSIVE.sub("", word).lower()
