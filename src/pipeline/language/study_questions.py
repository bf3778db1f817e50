"""Questions about a passage that the sleeper writes itself, and those that follow from its sentences by rule.

The generator sees a sentence with a gap, and what is missing; the examples before it ask for the same kind of thing. A
question is kept when it names nothing that the passage does not, and when the generator, asked again with the sentence
in its prompt, gives the answer that was left out (round-trip consistency: Alberti et al. 2019, arXiv:1906.05416).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.evaluation.prompts import holds
from pipeline.evaluation.scoring import exact_match, f1, normalise
from pipeline.language.keywords import FEWEST, MOST, SPARE
from pipeline.language.models import LanguageModel
from pipeline.language.passages import Span
from pipeline.language.prompts import memory_prompt
from pipeline.language.rehearsal import kept_generations

Phase = Callable[[str, int], Callable[[int], None]]
GAP = "____"
LONGEST = 30  # words of a question
ANSWER_TOKENS = 20
WINDOW = 12  # words on either side of a span from which keyword queries are drawn
HEADING = "A question about the missing words of a sentence."
EXAMPLES: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "date": (
        ("The treaty was signed on ____ by Lord Ashby.", "4 March 1842", "When was the treaty signed by Lord Ashby?"),
        (
            "In ____ the council sold the old mill to weavers.",
            "1969",
            "In what year did the council sell the mill?",
        ),
        ("Born in Warsaw, she moved to Paris in ____.", "1891", "When did she move from Warsaw to Paris?"),
        ("The team won the cup in ____ after beating Norway.", "1954", "In which year did the team win the cup?"),
        (
            "Stone bridges replaced the ferries by the ____.",
            "18th century",
            "By when did bridges replace ferries?",
        ),
    ),
    "number": (
        ("The Danube flows through ____.", "ten countries", "Through how many countries does the Danube flow?"),
        ("The law limits the members to ____.", "120", "To how many does the law limit the members?"),
        ("About ____ of the farmers grow barley.", "60 percent", "What share of the farmers grow barley?"),
        ("The journey over the pass took ____.", "three weeks", "How long did the journey over the pass take?"),
        ("The tower, which burned down, was ____ high.", "90 metres", "How high was the tower that burned down?"),
    ),
    "name": (
        ("The novel was praised, although its author, ____, was not.", "Jane Ferris", "Who wrote the praised novel?"),
        ("Farmers sell their barley to breweries in ____.", "Linz", "Where are the breweries that buy the barley?"),
        ("____ rises in the Black Forest.", "The Danube", "Which river rises in the Black Forest?"),
        ("Most paintings were given by the banker ____.", "Otto Reyes", "Which banker gave most of the paintings?"),
        ("The bridge was built by the ____.", "Northern Railway", "Which company built the bridge?"),
    ),
    "phrase": (
        ("The weavers turned the old mill into a ____.", "workshop", "What did the weavers turn the old mill into?"),
        ("Steel was dear, so they built of ____.", "local timber", "What did they build of, as steel was dear?"),
        ("Leaves contain a ____ called chlorophyll.", "green pigment", "What is the chlorophyll that leaves contain?"),
        ("Iron rusts when it is exposed to ____.", "water and air", "What does iron rust when exposed to?"),
        ("____ lose heat mainly through their feet.", "Penguins", "What loses heat mainly through its feet?"),
    ),
}
"""Worked examples by kind of answer: (sentence with a gap, what is missing, question)."""
OPENINGS: Mapping[str, tuple[str, ...]] = {
    "date": ("When", "In what year", "On what date"),
    "number": ("How many", "How much", "What number"),
    "name": ("Who", "What", "Which", "Where"),
    "phrase": ("What", "Which", "How", "What kind of"),
}
"""Question words of keyword queries by kind of answer."""
_NAME_OR_NUMBER = re.compile(r"(?<!^)(?<![.?!] )\b[A-Z][\w'’-]*|\b\d[\w.,:]*\w|\b\d")
_WORD = re.compile(r"[^\W_][\w'’-]*")


@dataclass(frozen=True)
class Asked:
    """A question about a span of a passage.

    Attributes:
        passage: Index of the passage.
        span: What answers it.
        sentence: The sentence that holds the answer.
        text: The question; empty while it is only asked for.
    """

    passage: int
    span: Span
    sentence: str
    text: str = ""


@dataclass(frozen=True)
class Passage:
    """A text to study, in sentences, with what it can be asked about.

    Attributes:
        text: As it was taught.
        subject: Its title or subject; may be empty.
        parts: Its sentences.
        spans: What is asked about.
    """

    text: str
    subject: str
    parts: tuple[str, ...]
    spans: tuple[Span, ...]


def with_gap(sentence: str, span: str) -> str:
    """The sentence with the first occurrence of a span, as whole words, left out."""
    return re.sub(rf"(?<!\w){re.escape(span)}(?!\w)", GAP, sentence, count=1)


def question_prompt(sentence: str, span: Span, turn: int = 0) -> str:
    """A completion prompt that goes on with a question about ``span``; ``turn`` rotates the examples."""
    examples = EXAMPLES[span.kind]
    first = turn % len(examples)
    blocks = [
        f"Sentence: {gap}\nMissing: {missing}\nQuestion: {question}"
        for gap, missing, question in (*examples[first:], *examples[:first])
    ]
    return "\n\n".join(
        [HEADING, *blocks, f"Sentence: {with_gap(sentence, span.text)}\nMissing: {span.text}\nQuestion:"]
    )


def written_questions(
    lm: LanguageModel, passages: Sequence[Passage], count: int, agreement: float, tokens: int, batch: int, phase: Phase
) -> tuple[list[Asked], dict[str, Any]]:
    """What the generator wrote about the passages and then answered itself.

    Args:
        lm: The generator.
        passages: What is studied.
        count: Questions asked for per passage: its spans in turn, and the same ones again in other words.
        agreement: Smallest token F1 of the second ask's answer.
        tokens: Limit of a question.
        batch: Prompts decoded together.
        phase: Announces parts of the work.

    Returns:
        The questions that are kept, passage by passage, and ``{asked, kept, dropped}``, dropped by reason.
    """
    jobs = [
        (Asked(index, span, passage.parts[span.sentence]), number // len(passage.spans))
        for index, passage in enumerate(passages)
        for number, span in enumerate(passage.spans[n % len(passage.spans)] for n in _numbers(passage, count))
    ]
    dropped: Counter[str] = Counter()
    if not jobs:
        return [], {"asked": 0, "kept": 0, "dropped": {}}
    prompts = [question_prompt(job.sentence, job.span, turn) for job, turn in jobs]
    made = kept_generations(lm, prompts, tokens, batch, one_line=True, progress=phase("own questions", len(jobs)))
    offered: list[Asked] = []
    taken: set[tuple[int, str]] = set()
    for (job, _), reply in zip(jobs, made, strict=True):
        asked = Asked(job.passage, job.span, job.sentence, reply.text)
        reason = "unfinished" if reply.overlong else fault(asked, passages[job.passage])
        key = (job.passage, normalise(reply.text))
        if reason or key in taken:
            dropped[reason or "repeated"] += 1
        else:
            taken.add(key)
            offered.append(asked)
    agreed = _second_ask(lm, offered, agreement, batch, phase)
    kept = [asked for asked, same in zip(offered, agreed, strict=True) if same]
    dropped["inconsistent"] = len(offered) - len(kept)
    return kept, {"asked": len(jobs), "kept": len(kept), "dropped": dict(dropped)}


def _numbers(passage: Passage, count: int) -> range:
    """Which asks a passage gets: none without spans, and no span more often than there are orders of examples."""
    return range(min(count, len(passage.spans) * min(map(len, EXAMPLES.values()))))


def fault(asked: Asked, passage: Passage) -> str:
    """Why a question cannot be kept, whatever the second ask says; empty when it can.

    It must be one short question that holds less than half of its answer's words, and say nothing of which the passage
    does not speak: every name and number stands there, and at least half of the other words of substance.
    """
    text = asked.text
    if not text.endswith("?") or not 3 <= len(text.split()) <= LONGEST or text.count("?") > 1:
        return "no question"
    if holds(text, asked.span.text) or _gives_away(text, asked.span):
        return "holds its answer"
    known = f"{passage.subject}\n{passage.text}"
    if any(not holds(known, name) for name in _NAME_OR_NUMBER.findall(text)):
        return "names others"
    words = [word for word in normalise(text).split() if word not in SPARE]
    there = frozenset(normalise(known).split())
    if not words or sum(word in there for word in words) * 2 < len(words):
        return "off the passage"
    return ""


def _gives_away(text: str, span: Span) -> bool:
    """Whether a question holds half of a name or phrase; of "ten countries" it may well hold the countries."""
    wanted = [word for word in normalise(span.text).split() if word not in SPARE]
    given = frozenset(normalise(text).split())
    return span.kind in ("name", "phrase") and 0 < len(wanted) <= 2 * sum(word in given for word in wanted)


def _second_ask(lm: LanguageModel, asked: Sequence[Asked], agreement: float, batch: int, phase: Phase) -> list[bool]:
    """Whether the generator, reading the sentence, answers each question with the words that were left out."""
    if not asked:
        return []
    prompts = [memory_prompt(question.text, [question.sentence]) for question in asked]
    progress = phase("answers to own questions", len(prompts))
    answers = kept_generations(lm, prompts, ANSWER_TOKENS, batch, one_line=True, progress=progress)
    return [same_answer(a.text, q.span.text, agreement) for a, q in zip(answers, asked, strict=True)]


def same_answer(answer: str, gold: str, agreement: float) -> bool:
    """Whether two answers say the same: equal up to normalisation, or in most of their words."""
    return exact_match(answer, gold) or f1(answer, gold) >= agreement


def gap_text(sentence: str, span: str) -> str | None:
    """The sentence as a gap text; None where the span stands in it twice, or nothing else does."""
    text = with_gap(sentence, span)
    rest = text.replace(GAP, " ")
    return None if GAP not in text or holds(rest, span) or not normalise(rest) else f"Fill in: {text}"


def span_queries(sentence: str, span: Span, count: int, generator: np.random.Generator) -> Iterator[str]:
    """Up to ``count`` different keyword queries: a question word, and some words around the span, in their order.

    Args:
        sentence: What holds the span.
        span: The answer; its words are in no query.
        count: How many are wanted.
        generator: Chooses question words and how much is left out.
    """
    before, found, after = sentence.partition(span.text)
    if not found:
        return
    around = [*_WORD.findall(before)[-WINDOW:], *_WORD.findall(after)[:WINDOW]]
    own = frozenset(normalise(span.text).split())
    words = [word for word in around if normalise(word) not in own]
    openings, seen = OPENINGS[span.kind], set()
    for _ in range(4 * count):
        omitted = generator.uniform(FEWEST, MOST)
        opening = openings[int(generator.integers(len(openings)))]
        left = [word for word in words if generator.random() >= omitted]
        query = f"{opening} {' '.join(left)}?"
        if sum(word.lower() not in SPARE for word in left) >= 2 and query not in seen and not holds(query, span.text):
            seen.add(query)
            yield query
        if len(seen) == count:
            return
