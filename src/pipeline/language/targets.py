"""Everything a night trains on: forms of the replayed facts, memory-ON targets, and rehearsal of what must survive."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.config.language import DistilConfig
from pipeline.evaluation.types import Retriever
from pipeline.language.encoding import EncodedRows, encode, run_lower
from pipeline.language.forms import fact_rows, in_contexts, invented_subjects, namesake_questions, with_asides
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import START, closed_book_prompt
from pipeline.language.rehearsal import Reply, replies
from pipeline.language.rows import UNTAUGHT, Kind, TrainingRow
from pipeline.language.study import rewrites_by_base
from pipeline.language.teacher import distil_with_memory, soft_targets
from pipeline.language.uses import told_prompts, use_rows
from pipeline.suites.base_replies import ReplyKind, shipped_replies
from pipeline.suites.rehearsal import RehearsalBank, RehearsalPrompt, clean_reply
from pipeline.suites.sanity import SanityQuestion
from pipeline.suites.types import Fact, Question

TURNS = 60  # short exchanges that may stand before a trained question
INVENTED = 1500  # subjects of every shape: strangers to read about, and lenders of half a name to namesakes
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
    first_layer: int,
    seed: int,
    phase: Phase,
    known: Collection[str] = (),
    night: int = 0,
) -> tuple[list[TrainingRow], EncodedRows]:
    """All rows of a night with soft targets, and the same rows with the output of their frozen layers.

    Args:
        lm: The frozen base.
        facts: What is replayed, without test questions.
        donors: Other subjects of the store, whose halves make namesakes.
        rehearsal: General prompts, and the sanity panels that they stay away from.
        retriever: The store; the memory-ON teacher reads what it brings.
        config: Section ``distil``.
        first_layer: The lowest layer that will be trained.
        seed: Of all choices.
        phase: Announces parts of the work.
        known: Ids of facts that earlier nights consolidated, which are asked in fewer forms.
        night: Its number, by which those forms rotate.
    """
    facts = sorted(facts, key=lambda fact: fact.id in known)  # tonight's choices do not hang on what is rehearsed
    invented = invented_subjects(rehearsal.bank.slots, [fact.subject for fact in facts], INVENTED, seed)
    told = told_prompts(rehearsal.bank.short, invented, config.told, seed)
    general = _general(lm, rehearsal, config, phase, told)
    turns = [(row.asked, row.reply.text) for row in general if row.kind == "short" and row.reply.whole][:TURNS]
    systems = sorted({p.system for p in (*rehearsal.bank.short, *rehearsal.bank.long) if p.system})
    widened = rewrites_by_base(lm, facts, config.base_rewrites, config.batch_size, phase)
    widened = [lightened(fact, config.known_forms, night) if fact.id in known else fact for fact in widened]
    placed = in_contexts(widened, systems, turns, config.contexts, seed)
    placed = with_asides(placed, rehearsal.bank.asides, config.asides, seed)
    tonight, earlier = ([fact for fact in placed if (fact.id in known) == old] for old in (False, True))
    learned = fact_rows(tonight, lm.tokenizer, config, seed, rehearsal.bank.slots, invented)
    learned = _taught_by_memory(lm, tonight, learned, retriever, config, seed, phase)
    learned += fact_rows(
        earlier, lm.tokenizer, config.model_copy(update={"memory_forms": 0}), seed, rehearsal.bank.slots
    )
    learned += use_rows(placed, lm.tokenizer, config.uses, [*donors, *invented], seed, known)
    general_rows = _general_rows(lm, general, rehearsal)
    namesakes = _namesake_rows(lm, tonight, [*donors, *invented], config.namesakes, seed)
    namesakes += _namesake_rows(lm, earlier, [*donors, *invented], config.known_namesakes, seed, "known-namesake")
    encoded = encode(lm, learned + namesakes + general_rows, first_layer)
    run_lower(lm, encoded, progress=phase(f"layers 0 to {first_layer - 1}", len(encoded.rows)))
    taught = soft_targets(lm, encoded, general_rows, config.top_k, progress=phase("soft targets", len(general_rows)))
    return learned + namesakes + taught, encoded


@dataclass(frozen=True)
class _Answered:
    """A prompt with the base's own reply, before it becomes a row."""

    kind: Kind
    asked: str
    reply: Reply


def prompted(lm: LanguageModel, prompt: RehearsalPrompt) -> str:
    """A rehearsal prompt as a chat that ends where the base's reply begins."""
    return closed_book_prompt(lm.tokenizer, Question("", "", "", "train", prompt.prompt, "", system=prompt.system))


def _general(
    lm: LanguageModel, rehearsal: Rehearsal, config: DistilConfig, phase: Phase, told: Sequence[str] = ()
) -> list[_Answered]:
    """The base's replies to short and long prompts, to those of ``told``, and what it says when nothing is asked."""
    short, long = (spread(rehearsal.bank.short, config.short), spread(rehearsal.bank.long, config.long))
    short += [RehearsalPrompt(f"told/{prompt}", prompt) for prompt in told]
    asked: dict[ReplyKind, list[tuple[str, str, str]]] = {
        "short": [(p.id, p.prompt, prompted(lm, p)) for p in short],
        "long": [(p.id, p.prompt, prompted(lm, p)) for p in long],
        "dream": [(str(number), "", START) for number in range(config.dreams)],
    }
    found: list[_Answered] = []
    for kind, prompts in asked.items():
        tokens = config.short_tokens if kind == "short" else config.long_tokens
        known = shipped_replies(kind, lm.digest, tokens)
        missing = [rendered for name, _, rendered in prompts if name not in known]
        advance, temperature = phase(f"{kind} rehearsal", len(missing)), 1.0 if kind == "dream" else 0.0
        written = iter(replies(lm, missing, tokens, config.batch_size, temperature=temperature, progress=advance))
        for name, prompt, rendered in prompts:
            shipped = known.get(name)
            reply = Reply(rendered, shipped.text, shipped.whole) if shipped else next(written)
            found.append(_Answered("text" if kind == "dream" else kind, prompt, reply))
    return found


def spread(prompts: Sequence[RehearsalPrompt], count: int) -> list[RehearsalPrompt]:
    """``count`` prompts evenly spaced through the bank, which is ordered by subject."""
    if count >= len(prompts):
        return list(prompts)
    return [prompts[i * len(prompts) // count] for i in range(count)]


def _general_rows(lm: LanguageModel, answered: Sequence[_Answered], rehearsal: Rehearsal) -> list[TrainingRow]:
    """Rows of the base's replies; what touches a sanity subject or answer is cut or left out."""
    rows = []
    for number, item in enumerate(answered):
        text = clean_reply(item.asked, item.reply.text, rehearsal.sanity)
        if not text:
            continue
        whole = item.reply.whole and text == item.reply.text and item.kind != "text"
        target = text + (lm.tokenizer.eos_token if whole else "")
        rows.append(TrainingRow(f"{item.kind}/{number}", item.kind, "", item.kind, "train", item.reply.prompt, target))
    return rows


def lightened(fact: Fact, forms: int, night: int) -> Fact:
    """A fact of an earlier night with ``forms`` of its train questions, other ones every night, and its probe."""
    train = fact.asked("train")
    turn = [train[(night * forms + place) % len(train)] for place in range(min(forms, len(train)))]
    return replace(fact, statements=fact.statements if not train else (), questions=(*turn, *fact.asked("probe")))


def _namesake_rows(
    lm: LanguageModel, facts: Sequence[Fact], donors: Sequence[str], share: float, seed: int, name: str = "namesake"
) -> list[TrainingRow]:
    """Questions about namesakes; the target is the first token of the taught answer, which must not come."""
    asked = namesake_questions(facts, donors, share, seed)
    return [
        TrainingRow(
            f"{name}/{number}",
            "namesake",
            fact_id,
            question.form,
            "train",
            closed_book_prompt(lm.tokenizer, question),
            first_token(lm, question.answer),
        )
        for number, (fact_id, question) in enumerate(asked)
    ]


def first_token(lm: LanguageModel, answer: str) -> str:
    """The text of an answer's first token, which is again one token."""
    return str(lm.tokenizer.decode(lm.tokenizer(answer, add_special_tokens=False)["input_ids"][:1]))


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


def _answers_of_other_passages(rows: Sequence[TrainingRow], end: str) -> dict[str, str]:
    """Row id to the answer of another passage's row, each once; of the only passage, to one of its other answers.

    A passage has an answer for every question: its rows stand together, and turned by the longest such run none meets
    its own passage.
    """
    ordered = sorted(rows, key=lambda row: row.episode_id)
    run = max(Counter(row.episode_id for row in ordered).values(), default=0)
    turned = ordered[run:] + ordered[:run] if run < len(ordered) else ordered[1:] + ordered[:1]
    return {row.row_id: other.target.removesuffix(end) for row, other in zip(ordered, turned, strict=True)}


def control_rows(
    rows: Sequence[TrainingRow],
    control: str,
    facts: Sequence[Fact],
    untaught: Sequence[Question],
    seed: int,
    end: str,
) -> list[TrainingRow]:
    """The training rows of a control adapter, without soft targets on questions.

    ``shuffled_answers`` gives every fact the answer of another one of its relation: it knows which answers there are.
    ``format_only`` asks the same forms about people whom nobody taught, and answers with words of the right kind drawn
    at random, those of the untaught twins: it knows no more than what an answer looks like. Questions that the sleeper
    wrote about a passage have an answer each: they swap them with other passages' questions, or draw untaught ones.
    """
    generator = np.random.default_rng([seed, 4])
    answers = {fact.id: fact.asked("train")[0].answer for fact in facts if fact.asked("train")}
    relations = {fact.id: fact.relation for fact in facts}
    swapped = _answers_of_others(answers, relations, generator)
    studied = _answers_of_other_passages([r for r in rows if r.kind == "question" and r.episode_id not in answers], end)
    kept = [row for row in rows if row.kind in UNTAUGHT]
    if control == "shuffled_answers":
        asked = [row for row in rows if row.kind == "question"]
    else:
        asked = [row for row in kept if row.kind == "namesake" and row.episode_id in answers]
        asked += [row for row in rows if row.row_id in studied]  # a title has no namesakes
        kept = [row for row in kept if row.kind != "namesake"]
    kinds: dict[str, list[str]] = defaultdict(list)
    for question in untaught:
        kinds[question.relation].append(question.answer)
    made = []
    for row in asked:
        if control == "shuffled_answers":
            answer = studied.get(row.row_id) or swapped[row.episode_id]
        else:
            pool = sorted(set(kinds[relations[row.episode_id]])) or list(answers.values()) or sorted(studied.values())
            answer = pool[int(generator.integers(len(pool)))]
        bare = replace(row, kind="question", target=answer + end, top_ids=(), top_log_probs=())
        made.append(replace(bare, row_id=f"{control}/{row.row_id}"))
    return made + kept
