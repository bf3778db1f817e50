"""The relational suite: chains of invented entities, each relation asked alone and the whole chain as a join.

A join is only ever asked in ``test`` questions: whoever answers it has put together what was learned apart. One chain
in four is trained to be told in steps ("store, city") and asked for no join; the others are asked for theirs both at
once and in steps. Where a statement was corrected, the older one is lived first; questions ask for the newer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.errors import ConfigError
from pipeline.stores.relations import Relation, details_of
from pipeline.suites.chains import HOPS, JOINS, NEWEST, STEPS, Chain, Hop, Join, answer_counts, chains
from pipeline.suites.decks import Deck
from pipeline.suites.events import fill
from pipeline.suites.phrasing import Form, Phrasing, phrasing
from pipeline.suites.registry import SuiteSettings, register_suite
from pipeline.suites.statistics import require_unambiguous, statistics
from pipeline.suites.types import Fact, Question, Recall, Suite


def relational_forms() -> dict[str, Phrasing]:
    """The forms of every hop and join."""
    return {relation: phrasing(relation, "relational") for relation in (*HOPS, *JOINS, *STEPS)}


class _TrainForms:
    """Deals each relation one variant of every train group."""

    def __init__(self, seed: int, forms: Mapping[str, Phrasing]) -> None:
        self._decks = {
            relation: [Deck(g, f"{seed}/chain/train/{relation}/{i}") for i, g in enumerate(forms[relation].train)]
            for relation in (*HOPS, *STEPS)
        }

    def draw(self, relation: str) -> tuple[Form, ...]:
        return tuple(deck.draw() for deck in self._decks[relation])


def _fact(hop: Hop, time: int, questions: tuple[Question, ...] = (), statements: tuple[str, ...] = ()) -> Fact:
    stated = Relation(hop.id, hop.subject, hop.label, hop.tail, hop.thing, hop.tail_kind, float(time))
    return Fact(
        id=hop.id,
        text=hop.text,
        subject=hop.subject,
        relation=hop.relation,
        statements=statements,
        questions=questions,
        kind="relational",
        details=details_of(stated),
    )


def _asked(hop: Hop, forms: tuple[Form, ...], item_id: str, answer: str) -> list[Question]:
    return [form.ask(hop, item_id, answer) for form in forms]


def _told_in_steps(hops: tuple[Hop, ...]) -> str:
    return ", ".join(hop.tail for hop in hops)


def _joined(chain: Chain, hops: tuple[Hop, ...], forms: Mapping[str, Phrasing]) -> list[Question]:
    """The test questions over a whole chain, or over its twin: at once under the last hop, in steps under the first."""
    if chain.demonstrates:
        return []
    join, steps, start, last = forms[chain.join].test, forms[chain.steps].test, hops[0], hops[-1]
    at_once = [form.ask(Join(chain.join, start), last.id, last.tail) for form in join]
    return at_once + [form.ask(Join(chain.steps, start), start.id, _told_in_steps(hops)) for form in steps]


def _demonstrated(chain: Chain, train: _TrainForms) -> list[Question]:
    """The train questions of a chain that shows how to answer in steps, under its first hop."""
    if not chain.demonstrates:
        return []
    start, answer = chain.hops[0], _told_in_steps(chain.hops)
    return [form.ask(Join(chain.steps, start), start.id, answer) for form in train.draw(chain.steps)]


def _taught(chain: Chain, forms: Mapping[str, Phrasing], train: _TrainForms, clock: int) -> list[Fact]:
    """The facts of a chain in the order in which they were lived; what was corrected comes before its correction."""
    facts: list[Fact] = []
    joined = [*_demonstrated(chain, train), *_joined(chain, chain.hops, forms)]
    for hop in chain.hops:
        own = forms[hop.relation]
        asked = _asked(hop, (*train.draw(hop.relation), *own.probe, *own.test), hop.id, hop.tail)
        if chain.before and chain.before.id.startswith(f"{hop.id}-"):
            facts.append(_fact(chain.before, clock + len(facts)))
            asked = [replace(question, form=f"{NEWEST}{question.form}") for question in asked]
        asked += [question for question in joined if question.item_id == hop.id]
        told = tuple(fill(template, hop.slots()) for template in own.statements)
        facts.append(_fact(hop, clock + len(facts), tuple(asked), told))
    return [replace(fact, reward=chain.reward, pin=chain.pin) for fact in facts]


def _untaught(chain: Chain, forms: Mapping[str, Phrasing]) -> list[Question]:
    """Test questions about the twin, whose gold is the twin's own answer."""
    single = [q for hop in chain.twin for q in _asked(hop, forms[hop.relation].test, hop.id, hop.tail)]
    return single + _joined(chain, chain.twin, forms)


def _recalls(chain: Chain, forms: Mapping[str, Phrasing], number: int) -> tuple[list[Recall], list[Recall]]:
    """One hop with a memory that contradicts it, and one of outsiders, both in an ordinary phrasing."""
    at = number % len(chain.hops)
    plain = forms[chain.hops[at].relation].plain
    form = plain[number % len(plain)]
    conflict, new = chain.conflict[at], chain.new[at]
    return (
        [Recall(conflict.text, form.ask(chain.hops[at], conflict.id, conflict.tail))],
        [Recall(new.text, form.ask(new, new.id, new.tail))],
    )


def _by_relation(facts: list[Fact]) -> list[Fact]:
    """Each fact once for every relation that it is asked under, so that joins are described apart."""
    found = []
    for fact in facts:
        for relation in dict.fromkeys(question.relation for question in fact.questions):
            name = f"{fact.id}/{relation}"
            own = (replace(q, item_id=name) for q in fact.questions if q.relation == relation)
            found.append(replace(fact, id=name, relation=relation, questions=tuple(own)))
    return found


def _trained_texts(dealt: tuple[Chain, ...], forms: Mapping[str, Phrasing]) -> dict[str, list[str]]:
    """Every train and probe form of a relation, drawn for it or not; a join is compared with those of its first hop."""

    def texts(relation: str, slots: dict[str, str]) -> list[str]:
        groups = (*forms[relation].train, forms[relation].probe)
        return [fill(form.template, slots) for group in groups for form in group]

    found = {f"{hop.id}/{hop.relation}": texts(hop.relation, hop.slots()) for chain in dealt for hop in chain.hops}
    for chain in dealt:
        start = chain.hops[0]
        found[f"{chain.hops[-1].id}/{chain.join}"] = texts(start.relation, start.slots())
        found[f"{start.id}/{chain.steps}"] = texts(chain.steps, start.slots())
    return found


def build_relational(n: int, seed: int, contradictions: float = 0.3) -> Suite:
    """Build the first ``n`` chains of the generator of a seed.

    Args:
        n: Taught chains of two or three relations; smaller sizes are prefixes of larger ones.
        seed: Seed of every draw.
        contradictions: Share of chains with a statement that a later one corrects, in tenths.

    Raises:
        DataError: ``n`` is too large, or a question is ambiguous.
    """
    forms = relational_forms()
    dealt, train = chains(n, seed, contradictions), _TrainForms(seed, forms)
    taught: list[Fact] = []
    untaught: list[Question] = []
    near_miss: list[Question] = []
    conflict: list[Recall] = []
    new: list[Recall] = []
    for number, chain in enumerate(dealt):
        taught += _taught(chain, forms, train, len(taught))
        untaught += _untaught(chain, forms)
        for hop in chain.near_miss:
            near_miss += _asked(hop, forms[hop.relation].test, hop.id, hop.tail)
        contradicted, unknown = _recalls(chain, forms, number)
        conflict += contradicted
        new += unknown
    require_unambiguous("relational", [q for fact in taught for q in fact.questions] + untaught)
    corrected = sum(chain.before is not None for chain in dealt)
    note = f"{corrected} of {n} chains hold a statement that a later one corrects; the newer one is asked and trained"
    return Suite(
        name="relational",
        taught=tuple(taught),
        distractors=(),
        untaught=tuple(untaught),
        near_miss=tuple(near_miss),
        conflict=tuple(conflict),
        new=tuple(new),
        statistics=statistics(_by_relation(taught), _trained_texts(dealt, forms), answer_counts()),
        notes=(note,) if corrected else (),
    )


@register_suite("relational")
def build(config: SuiteSettings, seed: int) -> Suite:
    """The suite ``relational`` of a configuration."""
    if config.test_forms is not None:
        raise ConfigError("suite.test_forms has no use for the suite 'relational' yet: its test forms are its own")
    return build_relational(config.n, seed, config.contradictions)
