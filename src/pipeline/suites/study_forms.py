"""Forms to study a user's fact in: a user brings one phrasing or none, training and early stopping want several.

Every form follows by rule from the fact's text and its train questions (`pipeline.language.rewrites`). No test question
is read, and none of the forms is one. They depend on the fact alone, so a fact taught twice stays the same fact.
"""

from __future__ import annotations

import calendar
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from pipeline.evaluation.prompts import holds, leaked_answer
from pipeline.evaluation.scoring import exact_match, normalise
from pipeline.language.keywords import elliptic_questions, keyword_queries, question_word, told_apart
from pipeline.language.rewrites import cloze_from_text, rewrite_question, statement_question
from pipeline.suites.types import DOCUMENT, Fact, Question, Split, Style

TRAIN_FORMS = 16
"""Whole train forms of a fact in all, the user's own included; own ones beyond that stay."""
KEYWORD_FORMS = 12
"""Draws of keyword queries of a fact, which are trained beside its whole forms."""
HELD_BACK = 2
"""Rewrites that decide early stopping for a fact without probe questions."""
STATEMENT_ONLY = "statement-only"
"""Relation of a fact without train questions; such facts are counted apart."""
STUDIED = (DOCUMENT, STATEMENT_ONLY)
"""Relations of facts without a train question of the user's, which the sleeper studies by itself."""

_DERIVED = re.compile(r"(?:rewrite|held-back|keywords|elliptic)-\d+")
LONGEST_NAME = 8
"""Words; of a text in capitals, all runs would be as many as the square of its words."""
LONGEST_SENTENCE = 1000
"""Characters of what is read as one plain sentence."""
_CAPITALS = re.compile(r"[A-Z][\w'’-]*(?: [A-Z][\w'’-]*)*")
_OPENERS = re.compile(
    "A|An|At|By|For|From|In|It|Last|Later|My|Next|On|Once|Our|The|Then|This|Today|When|Yesterday"
    f"|{'|'.join((*calendar.day_name, *calendar.month_name[1:]))}"
)
_TELLING = re.compile(  # what a sentence is about, likeliest first: a date or number, a name, its last word
    rf"\b(?:\d{{1,2}} (?:{'|'.join(calendar.month_name[1:])})|\d[\d.,:]*(?<=\d)|{'|'.join(calendar.day_name)})\b"
    r"|(?<=[a-z,] )[A-Z][\w'’-]*(?: [A-Z][\w'’-]*)*"
    r"|\b[a-z]{3,}(?=[.!]?$)"
)


def is_derived(question: Question) -> bool:
    """Whether a question was made here, and not by the user."""
    return _DERIVED.fullmatch(question.form) is not None


def own_questions(fact: Fact) -> Fact:
    """The fact with the user's questions alone."""
    return replace(fact, questions=tuple(q for q in fact.questions if not is_derived(q)))


@dataclass(frozen=True)
class _Offer:
    """Forms that a fact could be studied in, by kind, each kind in order of preference."""

    core: list[Question]
    rewrites: list[Question]
    keywords: list[Question]
    elliptic: list[Question]


def with_study_forms(facts: Sequence[Fact]) -> list[Fact]:
    """Widen training forms to `TRAIN_FORMS`, add queries by keyword, hold rewrites back as probes, add the statement.

    Args:
        facts: The user's facts; forms that were derived before are derived anew.

    Returns:
        The facts in their order. Derived train questions are named ``rewrite-1``…, ``keywords-1``… and ``elliptic-1``…;
        facts without probe questions get ``held-back-1``…. Facts without train questions of their own, and all their
        questions, have the relation `STATEMENT_ONLY`.
    """
    plain = [_prepared(own_questions(fact)) for fact in facts]
    cores = [_core(fact) for fact in plain]
    asked = [
        q for fact, core in zip(plain, cores, strict=True) for q in (*fact.asked("train"), *fact.asked("probe"), *core)
    ]
    offers = [_offer(fact, core, asked) for fact, core in zip(plain, cores, strict=True)]
    answers: dict[str, list[Question]] = defaultdict(list)
    for question in (*asked, *(q for offer in offers for q in (*offer.rewrites, *offer.keywords, *offer.elliptic))):
        answers[normalise(question.question)].append(question)

    def clear(questions: Sequence[Question]) -> list[Question]:
        return [q for q in questions if _one_answer(answers[normalise(q.question)])]

    return [
        _widened(
            fact,
            _Offer(clear(offer.core), clear(offer.rewrites), clear(offer.keywords), clear(offer.elliptic)),
        )
        for fact, offer in zip(plain, offers, strict=True)
    ]


def _prepared(fact: Fact) -> Fact:
    """The fact with its statement, its relation, and the subject that its sentence has for certain."""
    fact = replace(fact, statements=fact.statements or (fact.text,))
    if fact.asked("train"):
        return fact
    questions = tuple(replace(question, relation=STATEMENT_ONLY) for question in fact.questions)
    return replace(fact, relation=STATEMENT_ONLY, questions=questions, subject=fact.subject or _doer(fact.text))


def _doer(text: str) -> str:
    """The subject of a plain sentence that `statement_question` understands; empty where there is none."""
    if len(text) > LONGEST_SENTENCE:
        return ""
    for match in _CAPITALS.finditer(text):
        words = match.group().split()[-LONGEST_NAME:]
        for start in reversed(range(len(words))):  # shortest first, so that "On Friday" stays out of the name
            if _OPENERS.fullmatch(words[start]):
                break
            if statement_question(text, " ".join(words[start:])):
                return " ".join(words[start:])
    return ""


def _one_answer(questions: Sequence[Question]) -> bool:
    first = questions[0]
    return all(exact_match(other.answer, first.answer, first.aliases) for other in questions[1:])


def _core(fact: Fact) -> list[Question]:
    """Forms that the text gives: clozes and questions that it answers."""
    own, told = fact.asked("train"), _told(fact)
    clozes = [_cloze(fact, q.answer, q.aliases) for q in own or told]
    if not own and not told:
        clozes = [_cloze(fact, span) for span in _telling_spans(fact)][:3]
    return _distinct([*(cloze for cloze in clozes if cloze is not None), *told], [*own, *fact.asked("probe")])


def _told(fact: Fact) -> list[Question]:
    return [_question(fact, text, answer) for text, answer in statement_question(fact.text, fact.subject)]


def _offer(fact: Fact, core: list[Question], asked: Sequence[Question]) -> _Offer:
    """All forms of a fact; ``asked`` are the questions of every fact, from which short forms must be told apart."""
    own = fact.asked("train")
    sources = own or _told(fact)
    generator = _generator(fact, sources or core)
    rewrites = _rewrites(fact, sources or core, generator)
    keywords, elliptic = [], []
    for source in (q for q in sources if q.style == "question" and not q.history):
        others = [q.question for q in asked if not _one_answer([source, q])]
        draws = -(-KEYWORD_FORMS // len(sources))
        queries = keyword_queries(source.question, fact.subject, draws, generator)
        keywords += [replace(source, question=text) for text in queries if told_apart(text, others)]
        if told_apart(f"{question_word(source.question)} {fact.subject}", others):
            elliptic += [replace(source, question=text) for text in elliptic_questions(source.question, fact.subject)]
    taken = [*own, *fact.asked("probe"), *core]
    return _Offer(core, *(_distinct(_sealed(made), taken) for made in (rewrites, keywords, elliptic)))


def _sealed(questions: Sequence[Question]) -> list[Question]:
    return [q for q in questions if leaked_answer(q, q.question) is None]


def _telling_spans(fact: Fact) -> list[str]:
    found = [m.group() for m in _TELLING.finditer(fact.text)]
    return list(dict.fromkeys(span for span in found if not holds(fact.subject, span)))


def _question(fact: Fact, text: str, answer: str, aliases: tuple[str, ...] = (), style: Style = "question") -> Question:
    return Question(fact.id, fact.relation, "", "train", text, answer, aliases, style)


def _cloze(fact: Fact, answer: str, aliases: tuple[str, ...] = ()) -> Question | None:
    """The text with the answer blanked; None when the subject goes with it, or another spelling of the answer stays."""
    text = cloze_from_text(fact.text, answer)
    if text is None:
        return None
    hidden = holds(fact.text, fact.subject) and not holds(text, fact.subject)
    if hidden and not exact_match(answer, fact.subject):
        return None
    question = _question(fact, text, answer, aliases, "cloze")
    return None if leaked_answer(question, text) else question


def _generator(fact: Fact, sources: Sequence[Question]) -> np.random.Generator:
    """Draws that follow from what the fact says."""
    known = [fact.text, *([q.question, q.answer] for q in sources)]
    seed = hashlib.sha256(json.dumps(known).encode("utf-8", "surrogatepass")).digest()[:8]
    return np.random.default_rng(int.from_bytes(seed, "big"))


def _rewrites(fact: Fact, sources: Sequence[Question], generator: np.random.Generator) -> list[Question]:
    """Rewrites of all sources in turn."""
    wanted = -(-(TRAIN_FORMS + HELD_BACK) // max(1, len(sources))) + len(sources)
    made = [
        [
            replace(source, question=text)
            for text in rewrite_question(
                source.question, fact.subject, wanted, generator, source.answer, source.aliases
            )
        ]
        for source in sources
    ]
    return [question for turn in zip_longest(*made) for question in turn if question is not None]


def _distinct(questions: Sequence[Question], taken: Sequence[Question]) -> list[Question]:
    """The questions whose normalised text is new."""
    known = {normalise(question.question) for question in taken}
    found: dict[str, Question] = {}
    for question in questions:
        key = normalise(question.question)
        if key not in known:
            found.setdefault(key, question)
    return list(found.values())


def _widened(fact: Fact, offer: _Offer) -> Fact:
    held = [] if fact.asked("probe") else offer.rewrites[:HELD_BACK]
    room = max(0, TRAIN_FORMS - len(fact.asked("train")))
    whole = [*offer.core, *offer.rewrites[len(held) :]][:room]
    derived = [
        *_named(whole, "train", "rewrite"),
        *_named(offer.keywords, "train", "keywords"),
        *_named(offer.elliptic, "train", "elliptic"),
        *_named(held, "probe", "held-back"),
    ]
    return replace(fact, questions=(*fact.questions, *derived))


def _named(questions: Sequence[Question], split: Split, name: str) -> Iterator[Question]:
    for number, question in enumerate(questions, start=1):
        yield replace(question, form=f"{name}-{number}", split=split)
