"""What the sleeper says about a passage in its own words: sentences anew, and what follows from them.

A statement is kept when it names nothing that the passage does not, and when the evidence makes it likelier: the
frozen generator expects it by some nats a token more after the sentence than without it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipeline.evaluation.prompts import holds
from pipeline.evaluation.scoring import normalise
from pipeline.language.keywords import SPARE
from pipeline.language.models import LanguageModel
from pipeline.language.rehearsal import kept_generations
from pipeline.language.study_questions import Passage, Phase
from pipeline.language.surprise import token_surprise
from pipeline.suites.statistics import jaccard

FEWEST_WORDS, MOST_WORDS = 4, 40
NEAR_COPY = 0.9  # Jaccard similarity from which a rewrite says nothing anew
EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "In other words": (
        (
            "In 1969 the council sold the old mill to a group of weavers, who turned it into a workshop.",
            "The old mill became a workshop after a group of weavers bought it from the council in 1969.",
        ),
        (
            "Because steel was expensive, the engineers built the bridge of local timber.",
            "Local timber was used for the bridge, as the engineers found steel too expensive.",
        ),
        (
            "Salt was carried over the pass by mules, and the journey took about three weeks.",
            "It took mules about three weeks to bring salt across the pass.",
        ),
        (
            "The novel was praised by critics, although its author, Jane Ferris, thought little of it.",
            "Jane Ferris did not like the novel that she had written, but critics did.",
        ),
    ),
    "It follows that": (
        (
            "In 1969 the council sold the old mill to a group of weavers, who turned it into a workshop.",
            "the mill did not belong to the council after 1969.",
        ),
        (
            "Because steel was expensive, the engineers built the bridge of local timber.",
            "local timber was cheaper than steel.",
        ),
        (
            "Salt was carried over the pass by mules, and the journey took about three weeks.",
            "mules could cross the pass.",
        ),
        (
            "The novel was praised by critics, although its author, Jane Ferris, thought little of it.",
            "Jane Ferris wrote a novel.",
        ),
    ),
}
"""Worked examples by what introduces the statement."""
REWRITE, IMPLICATION = EXAMPLES
_NAME_OR_NUMBER = re.compile(r"(?<!^)\b[A-Z][\w'’-]*|\b\d[\w.,:]*\w|\b\d")


def statement_prompt(sentence: str, kind: str) -> str:
    """A completion prompt that goes on with a rewrite or an implication of the sentence."""
    blocks = [f"Sentence: {given}\n{kind}: {said}" for given, said in EXAMPLES[kind]]
    return "\n\n".join([*blocks, f"Sentence: {sentence}\n{kind}:"])


def written_statements(
    lm: LanguageModel,
    passages: Sequence[Passage],
    kind: str,
    count: int,
    support: float,
    tokens: int,
    batch: int,
    phase: Phase,
) -> tuple[dict[int, list[str]], dict[str, Any]]:
    """What the generator says about sentences of every passage, and which of it the sentences bear out.

    Args:
        lm: The generator.
        passages: What is studied.
        kind: `REWRITE` or `IMPLICATION`.
        count: Sentences per passage that are put to it, the longest first.
        support: Nats per token by which the sentence must make the statement likelier.
        tokens: Limit of a statement.
        batch: Prompts decoded together.
        phase: Announces parts of the work.

    Returns:
        Statements by index of the passage, and ``{asked, kept, dropped}``, dropped by reason.
    """
    jobs = [
        (index, sentence)
        for index, passage in enumerate(passages)
        for sentence in sorted(passage.parts, key=lambda part: -len(part))[:count]
    ]
    dropped: Counter[str] = Counter()
    if not jobs:
        return {}, {"asked": 0, "kept": 0, "dropped": {}}
    prompts = [statement_prompt(sentence, kind) for _, sentence in jobs]
    made = kept_generations(lm, prompts, tokens, batch, one_line=True, progress=phase(kind.lower(), len(jobs)))
    offered: list[tuple[int, str, str]] = []
    for (index, sentence), reply in zip(jobs, made, strict=True):
        text = reply.text[:1].upper() + reply.text[1:]
        reason = "unfinished" if reply.overlong else fault(text, sentence, passages[index])
        if not reason and any((index, normalise(text)) == (i, normalise(t)) for i, _, t in offered):
            reason = "repeated"
        if reason:
            dropped[reason] += 1
        else:
            offered.append((index, sentence, text))
    kept: dict[int, list[str]] = {}
    for (index, _, text), gain in zip(offered, _gains(lm, offered), strict=True):
        if gain >= support:
            kept.setdefault(index, []).append(text)
    borne_out = sum(map(len, kept.values()))
    dropped["inconsistent"] = len(offered) - borne_out
    return kept, {"asked": len(jobs), "kept": borne_out, "dropped": dict(dropped)}


def fault(text: str, sentence: str, passage: Passage) -> str:
    """Why a statement cannot be kept, however likely it is; empty when it can."""
    if not text.endswith(".") or not FEWEST_WORDS <= len(text.split()) <= MOST_WORDS:
        return "no statement"
    own, given = normalise(text).split(), normalise(sentence).split()
    if jaccard(own, given) >= NEAR_COPY:
        return "a copy"
    known = f"{passage.subject}\n{passage.text}"
    if any(not holds(known, name) for name in _NAME_OR_NUMBER.findall(text)):
        return "names others"
    words = [word for word in own if word not in SPARE]
    if sum(word in given for word in words) * 2 < max(1, len(words)):
        return "off the passage"
    return ""


def _gains(lm: LanguageModel, offered: Sequence[tuple[int, str, str]]) -> list[float]:
    """Nats per token that each statement gains by its sentence being read first."""
    if not offered:
        return []
    alone = token_surprise(lm, [text for _, _, text in offered])
    read = [float(token_surprise(lm, [text], context=sentence)[0]) for _, sentence, text in offered]
    return [float(before) - after for before, after in zip(alone, read, strict=True)]
