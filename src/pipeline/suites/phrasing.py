"""How a relation is asked: the forms of a generated suite, read from YAML, and test forms that a user brings.

A file for ``suite.test_forms`` has one JSON object a line::

    {"relation": "person_place", "template": "At which spot did {person} {verb_base} {the_thing}?",
     "style": "question", "system": "You are terse.", "history": [["Hello.", "Hello!"]]}

``relation`` and ``template`` are required. The forms of a file replace the test forms of each relation that it
names; `slots_of` lists the slots of a relation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any, Protocol, cast

import yaml

from pipeline.suites.events import fill
from pipeline.suites.rows import each_row
from pipeline.suites.types import Question, Split, Style

STYLES = ("question", "cloze", "request")
SLOTS = frozenset(
    {"person", "first", "last", "place", "the_place", "thing", "a_thing", "the_thing", "day"}
    | {"verb", "verb_base", "verb_part", "verb_gerund"}
)
"""Every slot of an event; a question may name all but those that hold its answer (`slots_of`)."""
COMPOSED_GROUPS = 8
_UNTRAINED: tuple[Split, Split] = ("probe", "test")


class Scene(Protocol):
    """What a form asks about: an event, a walk, or whatever else names its relation and its slots."""

    @property
    def relation(self) -> str:
        """What is asked."""
        ...

    def slots(self) -> dict[str, str]:
        """Every slot that a template may name."""
        ...


@dataclass(frozen=True)
class Language:
    """The relations and slots of one generated suite.

    Attributes:
        suite: Its name, and the folder of its forms below ``data``.
        slots: Every slot that its templates may name.
        answers: The slots that hold the answer, by relation.
    """

    suite: str
    slots: frozenset[str]
    answers: Mapping[str, frozenset[str]]

    @property
    def relations(self) -> tuple[str, ...]:
        """Every relation, in the order in which items are dealt."""
        return tuple(self.answers)


EPISODIC = Language(
    "episodic",
    SLOTS,
    {
        "person_place": frozenset({"place", "the_place"}),
        "person_thing": frozenset({"thing", "a_thing", "the_thing"}),
        "person_day": frozenset({"day"}),
        "place_thing_person": frozenset({"person", "first", "last"}),
    },
)


@dataclass(frozen=True)
class Form:
    """One phrasing of a relation.

    Attributes:
        name: Unique within the suite, for example ``person_place/train-3b``.
        split: Who may read the questions made from it.
        template: Text with slots such as ``{person}``.
        style: question, cloze or request.
        system: System prompt, or None for the model's default.
        history: Earlier (user, assistant) turns about something else.
        plain: Whether it is an ordinary paraphrase without context, fit for the conflict and new arms.
    """

    name: str
    split: Split
    template: str
    style: Style = "question"
    system: str | None = None
    history: tuple[tuple[str, str], ...] = ()
    plain: bool = False

    def ask(self, scene: Scene, item_id: str, answer: str, aliases: tuple[str, ...] = ()) -> Question:
        """The question of this form about an event or a walk, with the given gold answer."""
        return Question(
            item_id=item_id,
            relation=scene.relation,
            form=self.name,
            split=self.split,
            question=fill(self.template, scene.slots()),
            answer=answer,
            aliases=aliases,
            style=self.style,
            system=self.system,
            history=self.history,
        )


@dataclass(frozen=True)
class Phrasing:
    """All forms of one relation; every item draws one variant of each train group.

    Attributes:
        train: Groups of interchangeable train forms.
        statements: Declarative templates that end in the answer.
        probe: Forms that decide spacing and early stopping.
        test: Forms that decide nothing.
    """

    train: tuple[tuple[Form, ...], ...]
    statements: tuple[str, ...]
    probe: tuple[Form, ...]
    test: tuple[Form, ...]

    @property
    def plain(self) -> tuple[Form, ...]:
        """Test forms without context; the first test form when none is marked."""
        return tuple(form for form in self.test if form.plain) or self.test[:1]


def slots_of(relation: str, language: Language = EPISODIC) -> tuple[str, ...]:
    """The slots that a question of this relation may name, without the one it asks for."""
    return tuple(sorted(language.slots - language.answers[relation]))


def template_problem(relation: str, template: str, language: Language = EPISODIC) -> str | None:
    """Why a template cannot be used for a relation, or None."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        return f"malformed braces ({error})"
    allowed = slots_of(relation, language)
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if name not in allowed:
            reason = "is what the question asks for" if name in language.answers[relation] else "is unknown"
            return f"slot {{{name}}} {reason}; available for {relation}: {', '.join(allowed)}"
        if spec or conversion:
            return f"slot {{{name}}} has a format; write it as {{{name}}}"
    return None


def _form(row: Mapping[str, Any], name: str, split: Split) -> Form:
    return Form(
        name=name,
        split=split,
        template=row["question"],
        style=cast(Style, row.get("style", "question")),
        system=row.get("system"),
        history=tuple((user, assistant) for user, assistant in row.get("history", ())),
        plain=row.get("plain", False),
    )


def _composed(relation: str, parts: Mapping[str, Any]) -> tuple[tuple[Form, ...], ...]:
    """Every mention in every ask, dealt to `COMPOSED_GROUPS` groups so that each holds all mentions and all asks."""
    groups: list[list[Form]] = [[] for _ in range(COMPOSED_GROUPS)]
    for i, mention in enumerate(parts["mentions"]):
        for j, ask in enumerate(parts["asks"]):
            row = {**ask, "question": ask["question"].replace("{mention}", mention)}
            groups[(i + j) % COMPOSED_GROUPS].append(_form(row, f"{relation}/composed-{i + 1}-{j + 1}", "train"))
    return tuple(tuple(group) for group in groups)


@cache
def phrasing(relation: str, suite: str = "episodic") -> Phrasing:
    """The forms of a relation that ship with Engram (``data/<suite>/<relation>.yaml``); absent parts are empty."""
    source = files(__package__).joinpath("data", suite, f"{relation}.yaml")
    data = yaml.safe_load(source.read_text(encoding="utf-8"))
    written = tuple(
        tuple(_form(row, f"{relation}/train-{g}{chr(97 + v)}", "train") for v, row in enumerate(group))
        for g, group in enumerate(data.get("train", ()), start=1)
    )
    probe, test = (
        tuple(_form(row, f"{relation}/{split}-{i}", split) for i, row in enumerate(data.get(split, ()), start=1))
        for split in _UNTRAINED
    )
    return Phrasing(
        train=written + (_composed(relation, data["composed"]) if "composed" in data else ()),
        statements=tuple(data.get("statements", ())),
        probe=probe,
        test=test,
    )


def phrasings(test_forms: Path | None = None, language: Language = EPISODIC) -> dict[str, Phrasing]:
    """The forms of every relation, with the user's test forms in place of ours where a file names the relation."""
    shipped = {relation: phrasing(relation, language.suite) for relation in language.relations}
    if test_forms is None:
        return shipped
    own = read_test_forms(test_forms, language)
    return {relation: replace(ours, test=own.get(relation, ours.test)) for relation, ours in shipped.items()}


def read_test_forms(path: Path, language: Language = EPISODIC) -> dict[str, tuple[Form, ...]]:
    """Read the user's test forms, by relation.

    Raises:
        DataError: A row is malformed, names an unknown relation or slot, or repeats a template; file, line and field.
    """
    found: dict[str, list[Form]] = {}
    lines: dict[tuple[str, ...], int] = {}
    for row in each_row(path):
        row.check_fields(("relation", "template", "style", "system", "history"))
        relation, template = row.text("relation"), row.text("template")
        if relation not in language.relations:
            row.fail("relation", f"expected one of {', '.join(language.relations)}, found {relation!r}")
        problem = template_problem(relation, template, language)
        if problem:
            row.fail("template", problem)
        system, history = row.optional("system"), row.history()
        style = cast(Style, row.choice("style", STYLES, "question"))
        turns = [text for turn in history for text in turn]
        known = lines.setdefault((relation, template, system or "", *turns), row.line)
        if known != row.line:
            row.fail("template", f"repeats line {known}")
        forms = found.setdefault(relation, [])
        name, plain = f"{relation}/own-{len(forms) + 1}", not system and not history
        forms.append(Form(name, "test", template, style, system, history, plain))
    return {relation: tuple(forms) for relation, forms in found.items()}
