"""What a passage can be asked about: its sentences, and in each the dates, numbers, names and noun phrases.

Rules alone, so that the study of a passage needs no tagger; what a rule takes for a phrase and is none makes a question
that nobody can answer, and the second ask of `pipeline.language.study_questions` drops it.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from pipeline.evaluation.prompts import holds
from pipeline.evaluation.scoring import normalise

LONGEST_SPAN = 6  # words

_REFERENCE = re.compile(r"\[(?:\d+|citation needed|note \d+|[a-z])\]", re.IGNORECASE)
_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+(?=[\"'“‘(]?[A-Z0-9])")
_ABBREVIATED = re.compile(
    r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Prof|Rev|Gen|Col|Lt|Capt|Sgt|Jr|Sr|vs|etc|approx|ca|No|Vol|Fig|Inc|Ltd|Co)"
    r"|\b(?:[A-Za-z]\.)+[A-Za-z])\.$"
)
_MONTH = "|".join(calendar.month_name[1:])
_NUMBER = r"(?:\d[\d,.]*\d|\d)"
_WORD_NUMBER = (
    "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|thousand|million|half"
)
_DATE = re.compile(
    rf"\b(?:\d{{1,2}} (?:{_MONTH})(?:,? \d{{4}})?|(?:{_MONTH}) \d{{1,2}}(?:, \d{{4}})?|(?:{_MONTH}) \d{{4}}"
    rf"|(?:early |late |mid-)?(?:the )?\d{{1,2}}(?:st|nd|rd|th) [Cc]entur(?:y|ies)|\d{{4}}s?)\b"
)
_AMOUNT = re.compile(
    rf"(?:[$£€])?\b{_NUMBER}(?:[-–]{_NUMBER})?(?:%|\b)"
    r"(?: (?:percent|per cent|hundred|thousand|million|billion|trillion))?"
    rf"|\b(?:{_WORD_NUMBER})(?:-[a-z]+)?\b",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"\b(?:(?:St|Dr|Mr|Mrs|[A-Z])\. )*[A-Z][\w.&'’-]*(?<![.'’])"
    r"(?: (?:(?:of|the|de|von|van|and) ){0,2}(?:(?:St|[A-Z])\. )*[A-Z0-9][\w.&'’-]*(?<![.'’]))*"
)
_WORD = re.compile(r"[^\W_][\w'’-]*")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BREAKS = _words(
    """
    a about above after again against all almost along already also although always among an and any anyone are as at be
    became because become been before being below between both but by called came can cannot could did do does done down
    due during each either else even ever every few first for from further gave get given go going had has have having
    he hence her here hers him his how however i if in into is it its itself just kept known later least less like made
    make makes many may me meant might more most much must my near neither never next no nor not now of off often on
    once one only onto or other others our out over own per rather said same second see seen several shall she should
    since so some still such taken than that the their them themselves then there therefore these they this those though
    through thus to together too toward towards under until up upon us use used using usually very was we well were what
    when where whereas whether which while whilst who whom whose why will with within without would yet you your
    """
)
"""Words that no phrase holds."""
_OPENS = _words(
    """
    a an the of in on at by for from into with without to as between among through under over during including their its
    his her our this these those each every some any many several and or
    """
)
"""Words after which a phrase of nouns begins."""


@dataclass(frozen=True)
class Span:
    """Words of a sentence that could answer a question.

    Attributes:
        text: As they stand there.
        sentence: Index of the sentence.
        kind: ``date``, ``number``, ``name`` or ``phrase``.
    """

    text: str
    sentence: int
    kind: str


def sentences(text: str) -> list[str]:
    """The sentences of running text, reference marks removed; abbreviations and initials do not end one."""
    plain = " ".join(_REFERENCE.sub("", text).split())
    found: list[str] = []
    for piece in _END.split(plain):
        if found and _ABBREVIATED.search(found[-1]):
            found[-1] = f"{found[-1]} {piece}"
        else:
            found.append(piece)
    return [sentence for sentence in found if normalise(sentence)]


def evidence(parts: Sequence[str], index: int) -> str:
    """A sentence with the one before it, which says whom its pronouns mean."""
    return " ".join(parts[max(0, index - 1) : index + 1])


def spans(parts: Sequence[str], subject: str = "") -> list[Span]:
    """What the sentences of a passage can be asked about, a span of every sentence in turn.

    Args:
        parts: The sentences.
        subject: Its title or subject; what is said by it alone asks for nothing.

    Returns:
        Every span once; in each sentence dates, numbers and names come before other phrases.
    """
    by_sentence = [_spans_of(sentence, index) for index, sentence in enumerate(parts)]
    known: set[str] = set()
    found = []
    for span in (s for turn in zip_longest(*by_sentence) for s in turn if s is not None):
        key = normalise(span.text)
        if key and key not in known and not holds(subject, span.text):
            known.add(key)
            found.append(span)
    return found


def _spans_of(sentence: str, index: int) -> list[Span]:
    taken = [False] * len(sentence)
    found: list[tuple[int, Span]] = []

    def take(start: int, end: int, kind: str) -> None:
        text = sentence[start:end]
        if any(taken[start:end]) or len(text.split()) > LONGEST_SPAN:
            return
        taken[start:end] = [True] * (end - start)
        found.append((start, Span(text, index, kind)))

    for match in _DATE.finditer(sentence):
        take(*match.span(), "date")
    for match in _NAME.finditer(sentence):
        if match.start() > 0 or " " in match.group():
            take(*_without_opening(sentence, *match.span()), "name")
    for match in _AMOUNT.finditer(sentence):
        take(match.start(), _with_unit(sentence, match.end()), "number")
    for start, end in _phrases(sentence):
        take(start, end, "phrase")
    order = {"date": 0, "number": 0, "name": 0, "phrase": 1}
    return [span for _, span in sorted(found, key=lambda item: (order[item[1].kind], item[0]))]


def _without_opening(sentence: str, start: int, end: int) -> tuple[int, int]:
    """A run of capitals at the start of a sentence without the small word that is written large there."""
    first, _, rest = sentence[start:end].partition(" ")
    return (start + len(first) + 1, end) if start == 0 and rest and first.lower() in _BREAKS else (start, end)


def _with_unit(sentence: str, end: int) -> int:
    """Where a number ends that takes the word after it along, as in "45 minutes"."""
    unit = re.match(r" ([a-z]+)\b", sentence[end:])
    return end + unit.end() if unit and unit[1] not in _BREAKS else end


def _phrases(sentence: str) -> list[tuple[int, int]]:
    """(start, end) of runs of words of substance that follow an article or preposition, or have two words or more."""
    found: list[tuple[int, int]] = []
    run: list[re.Match[str]] = []
    before = ""
    for match in (*_WORD.finditer(sentence), None):
        joined = bool(run) and match is not None and sentence[run[-1].end() : match.start()] == " "
        if run and (match is None or match.group().lower() in _BREAKS or not joined):
            if before in _OPENS or len(run) > 1:
                found.append((run[0].start(), run[-1].end()))
            run = []
        if match is None:
            break
        word = match.group().lower()
        if word in _BREAKS:
            before = word
        else:
            if not run and sentence[: match.start()].rstrip()[-1:] in (",", ";", ":", "(", "—"):
                before = ""
            run.append(match)
    return found
