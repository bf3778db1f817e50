"""The relational suite: chains of invented entities, each relation asked alone and the whole chain as a join.

A join is only ever asked in ``test`` questions: whoever answers it has put together what was learned apart. Where a
statement was corrected, the older one is lived first, and both are taught to the store; questions ask for the newer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.errors import ConfigError
from pipeline.stores.relations import Relation, details_of
from pipeline.suites.chains import HOPS, JOINS, NEWEST, Chain, Hop, Join, answer_counts, chains
from pipeline.suites.decks import Deck
from pipeline.suites.events import fill
from pipeline.suites.phrasing import Form, Phrasing, phrasing
from pipeline.suites.registry import SuiteSettings, register_suite
from pipeline.suites.statistics import require_unambiguous, statistics
from pipeline.suites.types import Fact, Question, Recall, Suite


def relational_forms() -> dict[str, Phrasing]:
    """The forms of every hop and join."""
    return {relation: phrasing(relation, "relational") for relation in (*HOPS, *JOINS)}


class _TrainForms:
    """Deals each relation one variant of every train group."""

    def __init__(self, seed: int, forms: Mapping[str, Phrasing]) -> None:
        self._decks = {
            relation: [Deck(g, f"{seed}/chain/train/{relation}/{i}") for i, g in enumerate(forms[relation].train)]
            for relation in HOPS
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


def _joined(hops: tuple[Hop, ...], joins: tuple[tuple[str, Hop], ...], forms: Mapping[str, Phrasing]) -> list[Question]:
    """The questions over the whole chain, under the id of the hop that holds their answer."""
    start = hops[0]
    return [form.ask(Join(name, start), last.id, last.tail) for name, last in joins for form in forms[name].test]


def _taught(chain: Chain, forms: Mapping[str, Phrasing], train: _TrainForms, clock: int) -> list[Fact]:
    """The facts of a chain in the order in which they were lived; what was corrected comes before its correction."""
    facts: list[Fact] = []
    for hop in chain.hops:
        own = forms[hop.relation]
        asked = _asked(hop, (*train.draw(hop.relation), *own.probe, *own.test), hop.id, hop.tail)
        if chain.before and chain.before.id.startswith(f"{hop.id}-"):
            facts.append(_fact(chain.before, clock + len(facts)))
            asked = [replace(question, form=f"{NEWEST}{question.form}") for question in asked]
        asked += [question for question in _joined(chain.hops, chain.joins, forms) if question.item_id == hop.id]
        told = tuple(fill(template, hop.slots()) for template in own.statements)
        facts.append(_fact(hop, clock + len(facts), tuple(asked), told))
    return [replace(fact, reward=chain.reward, pin=chain.pin) for fact in facts]


def _untaught(chain: Chain, forms: Mapping[str, Phrasing]) -> list[Question]:
    """Test questions about the twin, whose gold is the twin's own answer."""
    single = [q for hop in chain.twin for q in _asked(hop, forms[hop.relation].test, hop.id, hop.tail)]
    joins = tuple((relation, chain.twin[JOINS[relation]]) for relation, _ in chain.joins)
    return single + _joined(chain.twin, joins, forms)


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
    """Every train and probe form of a hop, drawn for it or not; a join is compared with those of the chain's first."""

    def texts(hop: Hop) -> list[str]:
        groups = (*forms[hop.relation].train, forms[hop.relation].probe)
        return [fill(form.template, hop.slots()) for group in groups for form in group]

    found = {f"{hop.id}/{hop.relation}": texts(hop) for chain in dealt for hop in chain.hops}
    return found | {f"{last.id}/{join}": texts(chain.hops[0]) for chain in dealt for join, last in chain.joins}


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
