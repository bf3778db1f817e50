"""Everything a night trains on: forms of the replayed facts, memory-ON targets, and rehearsal of what must survive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.config.language import DistilConfig
from pipeline.evaluation.types import Retriever
from pipeline.language.forms import fact_rows, in_contexts, namesake_questions
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import START, closed_book_prompt
from pipeline.language.rehearsal import Reply, replies
from pipeline.language.rows import ANCHORED, Kind, TrainingRow
from pipeline.language.study import rewrites_by_base
from pipeline.language.teacher import distil_with_memory, top_log_probs
from pipeline.suites.rehearsal import RehearsalBank, RehearsalPrompt, clean_reply
from pipeline.suites.sanity import SanityQuestion
from pipeline.suites.types import Fact, Question

TURNS = 60  # short exchanges that may stand before a trained question
Phase = Callable[[str, int], Callable[[int], None]]
"""``phase(what, total)`` announces a part of the work and returns where to report its units."""


@dataclass(frozen=True)
class Rehearsal:
    """What is rehearsed beside the facts, and what must stay out of it."""

    bank: RehearsalBank
    sanity: tuple[SanityQuestion, ...]


def build_targets(
    lm: LanguageModel,
    facts: Sequence[Fact],
    donors: Sequence[str],
    rehearsal: Rehearsal,
    retriever: Retriever,
    config: DistilConfig,
    seed: int,
    phase: Phase,
) -> list[TrainingRow]:
    """All rows of a night, soft targets filled in.

    Args:
        lm: The frozen base.
        facts: What is replayed, without test questions.
        donors: Other subjects of the store, whose halves make namesakes.
        rehearsal: General prompts, and the sanity panels that they stay away from.
        retriever: The store; the memory-ON teacher reads what it brings.
        config: Section ``distil``.
        seed: Of all choices.
        phase: Announces parts of the work.
    """
    general = _general_rows(lm, rehearsal, config, phase)
    turns = [(row.asked, row.reply.text) for row in general if row.kind == "short" and row.reply.whole][:TURNS]
    systems = sorted({p.system for p in (*rehearsal.bank.short, *rehearsal.bank.long) if p.system})
    widened = rewrites_by_base(lm, facts, config.base_rewrites, config.batch_size, phase)
    placed = in_contexts(widened, systems, turns, config.contexts, seed)
    learned = fact_rows(placed, lm.tokenizer, config, seed)
    learned = _taught_by_memory(lm, placed, learned, retriever, config, seed, phase)
    contrast = _contrast_rows(lm, placed, donors, rehearsal, config, seed, phase)
    anchored = [row for source in (general, contrast) for row in _rows(lm, source, rehearsal, config)]
    advance = phase("soft targets", len(anchored))
    return learned + top_log_probs(lm, anchored, config.top_k, progress=advance)


@dataclass(frozen=True)
class _Answered:
    """A prompt with the base's own reply, before it becomes a row."""

    kind: Kind
    episode_id: str
    asked: str
    reply: Reply


def _prompted(lm: LanguageModel, prompt: RehearsalPrompt) -> str:
    return closed_book_prompt(lm.tokenizer, Question("", "", "", "train", prompt.prompt, "", system=prompt.system))


def _general_rows(lm: LanguageModel, rehearsal: Rehearsal, config: DistilConfig, phase: Phase) -> list[_Answered]:
    found: list[_Answered] = []
    wanted: tuple[tuple[Kind, tuple[RehearsalPrompt, ...], int, int], ...] = (
        ("short", rehearsal.bank.short, config.short, config.short_tokens),
        ("long", rehearsal.bank.long, config.long, config.long_tokens),
    )
    for kind, prompts, count, tokens in wanted:
        chosen = _spread(prompts, count)
        made = replies(
            lm, [_prompted(lm, p) for p in chosen], tokens, config.batch_size, phase(f"{kind} rehearsal", len(chosen))
        )
        found += [_Answered(kind, "", p.prompt, reply) for p, reply in zip(chosen, made, strict=True)]
    return found


def _spread(prompts: Sequence[RehearsalPrompt], count: int) -> list[RehearsalPrompt]:
    """``count`` prompts evenly spaced through the bank, which is ordered by subject."""
    if count >= len(prompts):
        return list(prompts)
    return [prompts[i * len(prompts) // count] for i in range(count)]


def _contrast_rows(
    lm: LanguageModel,
    facts: Sequence[Fact],
    donors: Sequence[str],
    rehearsal: Rehearsal,
    config: DistilConfig,
    seed: int,
    phase: Phase,
) -> list[_Answered]:
    pairs = namesake_questions(facts, donors, config, seed)
    strangers = rehearsal.bank.unknown(config.unknown, seed, avoid=frozenset(donors))
    prompts = [closed_book_prompt(lm.tokenizer, question) for _, question in pairs]
    prompts += [_prompted(lm, stranger) for stranger in strangers]
    kinds: list[tuple[Kind, str, str]] = [("namesake", fact_id, q.question) for fact_id, q in pairs]
    kinds += [("unknown", "", stranger.prompt) for stranger in strangers]
    made = replies(lm, prompts, config.contrast_tokens, config.batch_size, phase("unknown people", len(prompts)))
    return [_Answered(*head, reply) for head, reply in zip(kinds, made, strict=True)]


def _rows(
    lm: LanguageModel, answered: Sequence[_Answered], rehearsal: Rehearsal, config: DistilConfig
) -> list[TrainingRow]:
    """Rows of the base's replies; what touches a sanity subject or answer is cut or left out."""
    rows = []
    for number, item in enumerate(answered):
        text: str | None = item.reply.text
        if item.kind in ("short", "long"):
            text = clean_reply(item.asked, item.reply.text, rehearsal.sanity)
        if not text:
            continue
        whole = item.reply.whole and text == item.reply.text
        name = f"{item.kind}/{item.episode_id}/{number}"
        target = text + (lm.tokenizer.eos_token if whole else "")
        rows.append(TrainingRow(name, item.kind, item.episode_id, item.kind, "train", item.reply.prompt, target))
        if item.kind == "long" and number % 2 == 0:  # the same text without a chat around it
            rows.append(TrainingRow(f"text/{number}", "text", "", "text", "train", START, text))
    return rows


def _taught_by_memory(
    lm: LanguageModel,
    facts: Sequence[Fact],
    rows: Sequence[TrainingRow],
    retriever: Retriever,
    config: DistilConfig,
    seed: int,
    phase: Phase,
) -> list[TrainingRow]:
    """Soft targets of the memory-ON teacher for ``teacher_forms`` questions of every fact."""
    asked = {f"{fact.id}/{q.form}": q.question for fact in facts for q in fact.asked("train")}
    by_fact: dict[str, list[TrainingRow]] = {fact.id: [] for fact in facts}
    for row in rows:
        if row.kind == "question" and row.split == "train":
            by_fact[row.episode_id].append(row)
    chosen: list[TrainingRow] = []
    for index, members in enumerate(by_fact.values()):
        order = np.random.default_rng([seed, index, 3]).permutation(len(members))
        chosen += [members[i] for i in order[: config.teacher_forms]]
    if not chosen:
        return list(rows)
    phase("memory-ON teacher", len(chosen))
    found = retriever.retrieve([asked[row.row_id] for row in chosen], 1)
    texts = {row.row_id: memories[0].text for row, memories in zip(chosen, found, strict=True)}
    taught = {row.row_id: row for row in distil_with_memory(lm, chosen, asked, texts, config.top_k)}
    return [taught.get(row.row_id, row) for row in rows]


def count_kinds(rows: Sequence[TrainingRow]) -> dict[str, int]:
    """Rows of every kind."""
    kinds = sorted({row.kind for row in rows})
    return {kind: sum(row.kind == kind for row in rows) for kind in kinds}


def teacher_share(rows: Sequence[TrainingRow]) -> float:
    """Share of the questions put to the memory-ON teacher that it answered rightly; 0 when none was."""
    asked = [row for row in rows if row.teacher_asked]
    return sum(row.teacher_right for row in asked) / len(asked) if asked else 0.0


def _answers_of_others(
    answers: Mapping[str, str], relations: Mapping[str, str], generator: np.random.Generator
) -> dict[str, str]:
    """Fact id to the answer of another fact of its relation, a different one wherever the relation has enough."""
    swapped: dict[str, str] = {}
    for relation in sorted(set(relations.values())):
        members = [i for i in answers if relations[i] == relation]
        members = sorted((members[i] for i in generator.permutation(len(members))), key=lambda i: answers[i])
        # Sorted by answer, equal answers stand together: turned by the longest such run, no fact meets its own.
        run = max(Counter(answers[i] for i in members).values(), default=0)
        given = [answers[i] for i in members[run:] + members[:run]]
        swapped |= dict(zip(members, given, strict=True))
    for fact_id in (i for i in swapped if swapped[i] == answers[i]):  # alone, or most of its relation answer alike
        others = sorted({answer for answer in answers.values() if answer != answers[fact_id]}) or [answers[fact_id]]
        swapped[fact_id] = others[int(generator.integers(len(others)))]
    return swapped


def control_rows(
    rows: Sequence[TrainingRow], control: str, facts: Sequence[Fact], seed: int, end: str
) -> list[TrainingRow]:
    """The training rows of a control adapter, without soft targets on questions.

    ``shuffled_answers`` gives every fact the answer of another one of its relation; ``format_only`` asks the same forms
    about people whom nobody taught, and answers with words of the right kind drawn at random.
    """
    generator = np.random.default_rng([seed, 4])
    answers = {fact.id: fact.asked("train")[0].answer for fact in facts if fact.asked("train")}
    relations = {fact.id: fact.relation for fact in facts}
    swapped = _answers_of_others(answers, relations, generator)
    kept = [row for row in rows if row.kind in ANCHORED]
    if control == "shuffled_answers":
        asked = [row for row in rows if row.kind == "question"]
    else:
        asked = [row for row in kept if row.kind == "namesake" and row.episode_id in answers]
        kept = [row for row in kept if row.kind != "namesake"]
    values = list(answers.values())
    made = []
    for row in asked:
        if control == "shuffled_answers":
            answer = swapped[row.episode_id]
        else:
            pool = [answers[i] for i in answers if relations[i] == relations[row.episode_id]] or values
            answer = pool[int(generator.integers(len(pool)))]
        bare = replace(row, kind="question", target=answer + end, top_ids=(), top_log_probs=())
        made.append(replace(bare, row_id=f"{control}/{row.row_id}"))
    return made + kept
