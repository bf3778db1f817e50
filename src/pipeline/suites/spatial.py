"""The spatial suite: walks over invented districts, each asked in many phrasings, with every control beside it.

The wake session shows walks; the map itself is in no prompt. Three relations are taught and asked: the ``direction`` of
a neighbouring place, the ``adjacent`` place in a direction, and the ``next_step`` on a longer way. Pairs of places that
no training form names together (``Suite.unseen``) are asked as well, and reported apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.errors import DataError
from pipeline.suites.decks import Deck
from pipeline.suites.districts import WALKS, Block, Dealt, districts, slot_sizes
from pipeline.suites.episodic import DISTRACTORS, masked_overlap
from pipeline.suites.events import fill
from pipeline.suites.phrasing import Form, Language, Phrasing, phrasings
from pipeline.suites.registry import SuiteSettings, register_suite
from pipeline.suites.statistics import require_unambiguous, statistics
from pipeline.suites.types import Fact, Question, Recall, Suite
from pipeline.suites.unseen_pairs import unseen_questions
from pipeline.suites.walks import RELATIONS, Walk

SPATIAL = Language(
    "spatial",
    frozenset({"start", "goal", "direction", "next"}),
    {
        "direction": frozenset({"direction", "next"}),
        "adjacent": frozenset({"goal", "next"}),
        "next_step": frozenset({"next", "direction"}),
    },
)
"""A question of `next_step` names no direction, which would give the first place away."""


def _fact(walk: Walk, questions: tuple[Question, ...] = (), statements: tuple[str, ...] = ()) -> Fact:
    return Fact(
        id=walk.id,
        text=walk.text,
        subject=walk.subject,
        relation=walk.relation,
        statements=statements,
        questions=questions,
        consolidate=bool(questions),
        kind="spatial",
        details=walk.details,
    )


def _taught(block: Block, forms: Phrasing, train: Sequence[Form]) -> Fact:
    walk = block.taught
    questions = tuple(_ask(form, walk, walk) for form in (*train, *forms.probe, *forms.test))
    statements = tuple(fill(template, walk.slots()) for template in forms.statements)
    return replace(_fact(walk, questions, statements), reward=block.reward, pin=block.pin)


def _ask(form: Form, asked: Walk, answers: Walk) -> Question:
    """A form about one walk, with the answer of another."""
    return form.ask(asked, asked.id, answers.answer, answers.aliases)


def _new(block: Block, form: Form) -> Recall:
    """The twin's walk, read from memory."""
    walk = replace(block.twin, id=f"{block.taught.id}-new")
    return Recall(walk.text, _ask(form, walk, walk))


def _conflict(block: Block, form: Form) -> Recall:
    walk = block.conflict
    return Recall(walk.text, form.ask(block.taught, walk.id, walk.answer, walk.aliases))


def _trained_texts(blocks: Sequence[Block], forms: Mapping[str, Phrasing]) -> dict[str, list[str]]:
    """Every train and probe form of an item's relation, drawn for it or not, filled with its slots."""
    return {
        block.taught.id: [
            fill(form.template, block.taught.slots())
            for group in (*forms[block.taught.relation].train, forms[block.taught.relation].probe)
            for form in group
        ]
        for block in blocks
    }


def build_spatial(n: int, seed: int, profile: str = "default", test_forms: Path | None = None) -> Suite:
    """Build the first ``n`` walks of the generator of a seed.

    Args:
        n: Taught walks; smaller sizes are prefixes of larger ones. Pairs of a district that is not whole (``n`` is no
            multiple of ten) are not asked as unseen ones.
        seed: Seed of every draw.
        profile: ``easy``, ``default`` or ``hard``: 0, 2 or 4 more walks between the same places per taught one.
        test_forms: A file whose templates replace the test forms (`pipeline.suites.phrasing`).

    Raises:
        DataError: The profile is unknown, ``n`` is too large, a template is malformed, or a question is ambiguous.
    """
    if profile not in DISTRACTORS:
        raise DataError(f"suite.profile: expected one of {', '.join(DISTRACTORS)}, found {profile!r}")
    forms, dealt = phrasings(test_forms, SPATIAL), districts(n, seed)
    blocks = [block for district in dealt for block in district.blocks][:n]
    plain = [_plain(forms[block.taught.relation], number) for number, block in enumerate(blocks)]
    taught = _taught_facts(blocks, forms, seed)
    untaught = [_ask(form, b.twin, b.twin) for b in blocks for form in forms[b.twin.relation].test]
    unseen = unseen_questions(dealt[: n // WALKS])
    require_unambiguous("spatial", [q for fact in taught for q in fact.questions] + untaught + list(unseen))
    described = statistics(taught, _trained_texts(blocks, forms), slot_sizes(seed))
    masked = {name: value for phrasing in forms.values() for name, value in masked_overlap(phrasing, SPATIAL).items()}
    return Suite(
        name="spatial",
        taught=tuple(taught),
        distractors=tuple(_fact(walk) for b in blocks for walk in b.distractors[: DISTRACTORS[profile]]),
        untaught=tuple(untaught),
        near_miss=tuple(_ask(f, b.near_miss, b.taught) for b in blocks for f in forms[b.taught.relation].test),
        conflict=tuple(_conflict(block, form) for block, form in zip(blocks, plain, strict=True)),
        new=tuple(_new(block, form) for block, form in zip(blocks, plain, strict=True)),
        unseen=unseen,
        statistics=replace(described, jaccard_masked=masked),
        notes=_notes(dealt, n),
    )


def _plain(forms: Phrasing, number: int) -> Form:
    return forms.plain[number // len(RELATIONS) % len(forms.plain)]


def _taught_facts(blocks: Sequence[Block], forms: Mapping[str, Phrasing], seed: int) -> list[Fact]:
    """The taught facts; each draws one variant of every train group of its relation."""
    decks = {
        relation: [Deck(group, f"{seed}/train/{relation}/{i}") for i, group in enumerate(phrasing.train)]
        for relation, phrasing in forms.items()
    }
    return [
        _taught(block, forms[block.taught.relation], [deck.draw() for deck in decks[block.taught.relation]])
        for block in blocks
    ]


def _notes(dealt: Sequence[Dealt], n: int) -> tuple[str, ...]:
    if n % WALKS == 0:
        return ()
    return (f"suite.n={n} is no multiple of {WALKS}: the last of {len(dealt)} districts is not taught whole",)


@register_suite("spatial")
def build(config: SuiteSettings, seed: int) -> Suite:
    """The suite ``spatial`` of a configuration."""
    return build_spatial(config.n, seed, config.profile, config.test_forms)
