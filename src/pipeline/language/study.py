"""Other phrasings of a user's question, written by the frozen base: rules reorder words, the base finds other ones.

A 135M model often changes what is asked. A phrasing is kept only when it still names the subject, and when the base,
given the fact, answers it as the user did.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.evaluation.prompts import holds, leaked_answer
from pipeline.evaluation.scoring import exact_match, normalise
from pipeline.language.keywords import anchors
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import memory_prompt
from pipeline.language.rehearsal import kept_generations
from pipeline.language.rows import TrainingRow
from pipeline.suites.study_forms import STATEMENT_ONLY, is_derived
from pipeline.suites.types import Fact, Question

Phase = Callable[[str, int], Callable[[int], None]]
USER_RELATIONS = ("fact", STATEMENT_ONLY)
LONGEST = 30  # words
TOKENS = 32
ANSWER_TOKENS = 24

EXAMPLES: tuple[tuple[tuple[str, str], ...], ...] = (
    (
        ("Where did Otto Brandvold carve the walnut flute?", "In which place was Otto Brandvold when he carved it?"),
        ("What is the name of Petra's new boat?", "Petra has a new boat. How is it called?"),
        ("When does the library in Elmstead close?", "Until what time is the library in Elmstead open?"),
        ("Who repaired the clock for Amadou Keller?", "Which person fixed the clock of Amadou Keller?"),
    ),
    (
        ("Which tea does Suri Whitlock drink?", "What sort of tea is the favourite of Suri Whitlock?"),
        ("Where does Lenka Dorsey keep the spare key?", "In what spot can the spare key of Lenka Dorsey be found?"),
        ("When did Rolf Amundsen sell the van?", "On what day did the van of Rolf Amundsen find a buyer?"),
        ("How old is Ines Okafor's dog Bruno?", "Bruno is the dog of Ines Okafor. What is his age?"),
    ),
)
"""Worked examples of rephrasing, two sets, so that two prompts about one question bring two phrasings."""
OPENINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("where", ("At which place", "What is the name of the place where")),
    ("when", ("On what date", "At what time")),
    ("who", ("What is the name of the person who", "Which person")),
    ("what", ("Which", "Can you name")),
    ("which", ("What", "Do you know which")),
    ("how old", ("What is the age of",)),
    ("how many", ("What is the number of",)),
    ("how did", ("In what way did",)),
    ("how does", ("In what way does",)),
)
"""Left to itself the base repeats the question; it is made to begin otherwise. First match counts."""
_POSSESSIVE = re.compile(r"\w+['’]s? \w+")


def opening_of(question: str, number: int = 0) -> str:
    """The words with which rephrasing ``number`` of a question begins; empty where the base is free."""
    small = question.lower()
    for start, openings in OPENINGS:
        if small.startswith(f"{start} "):
            return openings[number] if number < len(openings) else ""
    return ""


def rephrase_prompt(question: str, number: int = 0) -> str:
    """A completion prompt that goes on with the question in other words; ``number`` chooses examples and opening."""
    examples = EXAMPLES[number % len(EXAMPLES)]
    turn = number // len(EXAMPLES) % len(examples)
    blocks = [f"Question: {asked}\nIn other words: {again}" for asked, again in (*examples[turn:], *examples[:turn])]
    opened = f"Question: {question}\nIn other words: {opening_of(question, number)}".rstrip()
    return "\n\n".join([*blocks, opened])


def questions_to_rephrase(fact: Fact, count: int) -> list[Question]:
    """``count`` train questions of a user's fact in turn, the shortest plain ones first; none for other facts."""
    if fact.relation not in USER_RELATIONS:
        return []
    plain = [q for q in fact.asked("train") if q.style == "question" and q.question.endswith("?") and not q.history]
    own = [q for q in plain if not is_derived(q)]
    reworded = [q for q in plain if q.form.startswith("rewrite-") and opening_of(q.question)]
    chosen = sorted(own or reworded, key=lambda q: len(q.question))
    return [chosen[number % len(chosen)] for number in range(count)] if chosen else []


def rewrites_by_base(lm: LanguageModel, facts: Sequence[Fact], count: int, batch_size: int, phase: Phase) -> list[Fact]:
    """Add train questions ``base-1``… to every user's fact: what the base wrote and then understood.

    Args:
        lm: The frozen base.
        facts: What is replayed; facts of generated suites come back unchanged.
        count: Phrasings asked for per fact.
        batch_size: Prompts decoded together.
        phase: Announces parts of the work.
    """
    asked = [(i, n, q) for i, fact in enumerate(facts) for n, q in enumerate(questions_to_rephrase(fact, count))]
    if not asked:
        return list(facts)
    prompts = [rephrase_prompt(question.question, number) for _, number, question in asked]
    written = kept_generations(
        lm, prompts, TOKENS, batch_size, one_line=True, progress=phase("other phrasings", len(prompts))
    )
    taken: dict[str, str] = {normalise(q.question): q.answer for fact in facts for q in fact.questions}
    offered: list[tuple[int, Question]] = []
    for (index, number, question), made in zip(asked, written, strict=True):
        text = f"{opening_of(question.question, number)} {made.text}".strip()
        if not made.overlong and normalise(text) not in taken and survives(question, text, facts[index].subject):
            taken[normalise(text)] = question.answer
            offered.append((index, replace(question, question=text)))
    understood = _understood(lm, [(facts[i].text, q) for i, q in offered], batch_size, phase)
    added: dict[int, list[Question]] = {}
    for (index, question), kept in zip(offered, understood, strict=True):
        if kept:
            mine = added.setdefault(index, [])
            mine.append(replace(question, form=f"base-{len(mine) + 1}"))
    return [replace(f, questions=(*f.questions, *added[i])) if i in added else f for i, f in enumerate(facts)]


def survives(question: Question, text: str, subject: str) -> bool:
    """Whether a rewrite is a short question that still names whom or what was asked about, and not the answer."""
    if not text.endswith("?") or len(text.split()) > LONGEST or leaked_answer(question, text) is not None:
        return False
    if normalise(text) == normalise(question.question):
        return False
    if any(not holds(question.question, owned) for owned in _POSSESSIVE.findall(text)):  # somebody else's, perhaps
        return False
    return all(holds(text, anchor) for anchor in anchors(question.question, subject))


def count_rewrites(facts: Sequence[Fact], rows: Sequence[TrainingRow], count: int) -> dict[str, int]:
    """How many phrasings the base was asked for, and how many became training rows."""
    asked = sum(len(questions_to_rephrase(fact, count)) for fact in facts)
    return {"asked": asked, "kept": sum(row.form.startswith("base-") and row.kind == "question" for row in rows)}


def _understood(lm: LanguageModel, told: Sequence[tuple[str, Question]], batch_size: int, phase: Phase) -> list[bool]:
    """Whether the base answers each question rightly when it reads the fact."""
    if not told:
        return []
    prompts = [memory_prompt(question.question, [text]) for text, question in told]
    progress = phase("answers to other phrasings", len(prompts))
    answers = kept_generations(lm, prompts, ANSWER_TOKENS, batch_size, one_line=True, progress=progress)
    return [exact_match(a.text, q.answer, q.aliases) for a, (_, q) in zip(answers, told, strict=True)]
