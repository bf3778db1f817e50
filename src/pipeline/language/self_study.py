"""A night's homework: facts and passages that came without questions get questions, gap texts and statements.

What the generator writes (`study_questions`, `study_statements`) and what follows by rule are counted apart. No test
question is read: what is replayed from the store holds none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.config.language import ModelConfig
from pipeline.config.study import StudyConfig
from pipeline.evaluation.prompts import leaked_answer
from pipeline.evaluation.scoring import normalise
from pipeline.language.models import LanguageModel, load_model
from pipeline.language.passages import sentences, spans
from pipeline.language.study_questions import Asked, Passage, Phase, gap_text, span_queries, written_questions
from pipeline.language.study_statements import IMPLICATION, REWRITE, written_statements
from pipeline.suites.documents import titled
from pipeline.suites.study_forms import STUDIED
from pipeline.suites.types import DOCUMENT, Fact, Question, Split, Style

WRITTEN, CLOZE, KEYWORDS, HELD_BACK = "studied", "studied-cloze", "studied-keywords", "studied-held-back"
"""Names of the forms, each followed by a number: one written by the generator, and three that follow by rule."""


@dataclass(frozen=True)
class Studied:
    """What came of the study.

    Attributes:
        facts: All facts, those that were studied with their new questions and statements.
        counts: ``passages``, the counts of every kind of text that the generator wrote, and ``by_rule``.
        generator: Digest of the model that wrote.
    """

    facts: tuple[Fact, ...]
    counts: Mapping[str, Any]
    generator: str

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions that the study added."""
        return tuple(q for fact in self.facts for q in fact.questions if is_studied(q))


def is_studied(question: Question) -> bool:
    """Whether a question was made by the study."""
    return question.form.rsplit("-", 1)[0] in (WRITTEN, CLOZE, KEYWORDS, HELD_BACK)


def study(
    lm: LanguageModel, facts: Sequence[Fact], config: StudyConfig, model: ModelConfig, seed: int, phase: Phase
) -> Studied:
    """Study every fact that has no train question of a user's.

    Args:
        lm: The sleeping model.
        facts: What is replayed, without test questions.
        config: Section ``study``.
        model: Section ``model``; a generator of another name is loaded with its settings.
        seed: Of keyword queries.
        phase: Announces parts of the work.

    Raises:
        ModelError: The generator is absent.
    """
    chosen = [index for index, fact in enumerate(facts) if fact.relation in STUDIED]
    passages = [_passage(facts[index], config.spans) for index in chosen]
    if not passages:
        return Studied(tuple(facts), {"passages": 0}, "")
    writer = lm
    if config.generator != "self" and (config.questions or config.rewrites or config.implications):
        writer = replace(load_model(model.model_copy(update={"name": config.generator})), shards=lm.shards)
    limits = (config.tokens, config.batch_size, phase)
    written, asked = written_questions(writer, passages, config.questions, config.agreement, *limits)
    rewrites, reworded = written_statements(writer, passages, REWRITE, config.rewrites, config.support, *limits)
    follows, implied = written_statements(writer, passages, IMPLICATION, config.implications, config.support, *limits)
    taken: dict[str, str] = {}
    by_rule: dict[str, int] = {}
    studied = list(facts)
    for number, index in enumerate(chosen):
        fact, passage = facts[index], passages[number]
        new = [*_written(fact, number, written), *_by_rule(fact, passage, config, seed)]
        questions = _clear(new, taken)
        for question in questions:
            kind = question.form.rsplit("-", 1)[0]
            by_rule[kind] = by_rule.get(kind, 0) + (kind != WRITTEN)
        said = [_told(fact, text) for text in (*rewrites.get(number, ()), *follows.get(number, ()))]
        own = fact.statements or (_told(fact, fact.text),)
        studied[index] = replace(fact, questions=(*fact.questions, *questions), statements=(*own, *said))
    by_rule.pop(WRITTEN, None)
    counts = {"questions": asked, "rewrites": reworded, "implications": implied, "by_rule": by_rule}
    return Studied(tuple(studied), {"passages": len(passages)} | counts, writer.digest)


def _passage(fact: Fact, count: int) -> Passage:
    parts = sentences(fact.text)
    return Passage(fact.text, fact.subject, tuple(parts), tuple(spans(parts, fact.subject)[:count]))


def _told(fact: Fact, text: str) -> str:
    """A text about a fact as it is asked and told: a document's under its title."""
    return titled(fact.subject, text) if fact.relation == DOCUMENT else text


def _question(fact: Fact, text: str, answer: str, form: str, style: Style, split: Split = "train") -> Question:
    return Question(fact.id, fact.relation, form, split, _told(fact, text), answer, (), style)


def _written(fact: Fact, number: int, written: Sequence[Asked]) -> list[Question]:
    """The generator's questions about one passage; outside documents they must name the subject themselves."""
    own = [asked for asked in written if asked.passage == number]
    if fact.relation != DOCUMENT and fact.subject:
        own = [asked for asked in own if names_subject(asked.text, fact.subject)]
    return [_question(fact, asked.text, asked.span.text, WRITTEN, "question") for asked in own]


def names_subject(text: str, subject: str) -> bool:
    """Whether a question says whom or what it is about."""
    return f" {normalise(subject)} " in f" {normalise(text)} "


def _by_rule(fact: Fact, passage: Passage, config: StudyConfig, seed: int) -> Iterator[Question]:
    """Gap texts and keyword queries about the spans of a passage, those that are held back last."""
    digest = hashlib.sha256(fact.text.encode("utf-8", "surrogatepass")).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
    held = []
    for turn, span in enumerate(passage.spans):
        sentence = passage.parts[span.sentence]
        if config.clozes and (text := gap_text(sentence, span.text)) is not None:
            yield _question(fact, text, span.text, CLOZE, "cloze")
        wanted = config.keywords + (turn < config.held_back)
        for number, text in enumerate(span_queries(sentence, span, wanted, generator)):
            if number < config.keywords:
                yield _question(fact, text, span.text, KEYWORDS, "question")
            else:
                held.append(_question(fact, text, span.text, HELD_BACK, "question", "probe"))
    yield from held


def _clear(questions: Sequence[Question], taken: dict[str, str]) -> list[Question]:
    """Questions that are new, hold no answer and clash with no other, numbered by kind; ``taken`` learns them."""
    kept: list[Question] = []
    numbers: dict[str, int] = {}
    for question in questions:
        key = normalise(question.question)
        if leaked_answer(question, question.question) is not None or key in taken:
            continue
        taken[key] = question.answer
        numbers[question.form] = numbers.get(question.form, 0) + 1
        kept.append(replace(question, form=f"{question.form}-{numbers[question.form]}"))
    return kept
