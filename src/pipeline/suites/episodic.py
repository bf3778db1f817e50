"""The headline suite: invented events, each asked in many phrasings, with every control beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pipeline.errors import DataError
from pipeline.evaluation.scoring import normalise
from pipeline.suites.decks import Deck
from pipeline.suites.events import RELATIONS, Block, Event, blocks, fill, slot_sizes
from pipeline.suites.phrasing import EPISODIC, Form, Language, Phrasing, phrasings
from pipeline.suites.registry import SuiteSettings, register_suite
from pipeline.suites.statistics import jaccard, require_unambiguous, statistics
from pipeline.suites.types import Fact, Question, Recall, Suite

DISTRACTORS = {"easy": 0, "default": 2, "hard": 4}
"""Distractor events per taught event, by profile."""


def _fact(event: Event, questions: tuple[Question, ...] = (), statements: tuple[str, ...] = ()) -> Fact:
    return Fact(
        id=event.id,
        text=event.text,
        subject=event.subject,
        relation=event.relation,
        statements=statements,
        questions=questions,
        consolidate=bool(questions),
    )


def _taught(block: Block, forms: Phrasing, train: tuple[Form, ...]) -> Fact:
    event = block.taught
    asked = (*train, *forms.probe, *forms.test)
    questions = tuple(form.ask(event, event.id, event.answer, event.aliases) for form in asked)
    statements = tuple(fill(template, event.slots()) for template in forms.statements)
    return replace(_fact(event, questions, statements), reward=block.reward, pin=block.pin)


class _TrainForms:
    """Deals each item one variant of every train group, so that a relation is trained in many phrasings."""

    def __init__(self, seed: int, forms: Mapping[str, Phrasing]) -> None:
        self._decks = {
            relation: [Deck(group, f"{seed}/train/{relation}/{i}") for i, group in enumerate(phrasing.train)]
            for relation, phrasing in forms.items()
        }

    def draw(self, relation: str) -> tuple[Form, ...]:
        return tuple(deck.draw() for deck in self._decks[relation])


def _controls(block: Block, forms: Phrasing) -> tuple[list[Question], list[Question]]:
    """Test questions about the untaught twin and about the near-miss, whose gold is the taught answer."""
    twin, near, taught = block.twin, block.near_miss, block.taught
    untaught = [form.ask(twin, twin.id, twin.answer, twin.aliases) for form in forms.test]
    near_miss = [form.ask(near, near.id, taught.answer, taught.aliases) for form in forms.test]
    return untaught, near_miss


def _recall(event: Event, asked: Event, form: Form) -> Recall:
    return Recall(memory=event.text, question=form.ask(asked, event.id, event.answer, event.aliases))


def _trained_texts(dealt: tuple[Block, ...], forms: Mapping[str, Phrasing]) -> dict[str, list[str]]:
    """Every train and probe form of an item's relation, drawn for it or not, filled with its slots."""
    return {
        block.taught.id: [
            fill(form.template, block.taught.slots())
            for group in (*forms[block.taught.relation].train, forms[block.taught.relation].probe)
            for form in group
        ]
        for block in dealt
    }


def masked_overlap(forms: Phrasing, language: Language = EPISODIC) -> dict[str, float]:
    """The largest token overlap of each test template with a train or probe template, slots left out."""

    def words(form: Form) -> set[str]:
        empty = dict.fromkeys(language.slots, " ")
        return set(normalise(form.template.format_map(empty)).split())

    known = [words(form) for group in (*forms.train, forms.probe) for form in group]
    return {form.name: max(jaccard(words(form), other) for other in known) for form in forms.test}


def build_episodic(n: int, seed: int, profile: str = "default", test_forms: Path | None = None) -> Suite:
    """Build the first ``n`` items of the generator of a seed.

    Args:
        n: Taught events; smaller sizes are prefixes of larger ones.
        seed: Seed of every draw.
        profile: ``easy``, ``default`` or ``hard``: 0, 2 or 4 distractor events per taught one.
        test_forms: A file whose templates replace the test forms (`pipeline.suites.phrasing`).

    Raises:
        DataError: The profile is unknown, ``n`` is too large, a template is malformed, or a question is ambiguous.
    """
    if profile not in DISTRACTORS:
        raise DataError(f"suite.profile: expected one of {', '.join(DISTRACTORS)}, found {profile!r}")
    forms = phrasings(test_forms)
    dealt, train = blocks(n, seed), _TrainForms(seed, forms)
    taught, untaught, near_miss = [], [], []
    conflict, new = [], []
    for number, block in enumerate(dealt):
        own = forms[block.taught.relation]
        taught.append(_taught(block, own, train.draw(block.taught.relation)))
        twins, near = _controls(block, own)
        untaught += twins
        near_miss += near
        plain = own.plain[number // len(RELATIONS) % len(own.plain)]
        conflict.append(_recall(block.conflict, block.taught, plain))
        new.append(_recall(block.new, block.new, plain))
    require_unambiguous("episodic", [q for fact in taught for q in fact.questions] + untaught)
    described = statistics(taught, _trained_texts(dealt, forms), slot_sizes())
    masked = {name: value for phrasing in forms.values() for name, value in masked_overlap(phrasing).items()}
    return Suite(
        name="episodic",
        taught=tuple(taught),
        distractors=tuple(_fact(event) for b in dealt for event in b.distractors[: DISTRACTORS[profile]]),
        untaught=tuple(untaught),
        near_miss=tuple(near_miss),
        conflict=tuple(conflict),
        new=tuple(new),
        statistics=replace(described, jaccard_masked=masked),
    )


@register_suite("episodic")
def build(config: SuiteSettings, seed: int) -> Suite:
    """The suite ``episodic`` of a configuration."""
    return build_episodic(config.n, seed, config.profile, config.test_forms)
