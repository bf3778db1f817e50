"""The mixed suite: facts of several suites in one night, each for its own kind of memory.

    suite: {name: mixed, n: 50, shares: {episodic: 0.6, relational: 0.3}}

Any registered suite that generates its facts can be a part; the shares need not sum to 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.replay.apportionment import apportion
from pipeline.suites.registry import SuiteSettings, build_suite, register_suite
from pipeline.suites.statistics import ceiling, require_unambiguous
from pipeline.suites.types import Suite, SuiteStatistics

NAME = "mixed"


class _Part:
    """The settings of the mixture, as one of its parts reads them."""

    def __init__(self, config: SuiteSettings, name: str, n: int) -> None:
        self.name: str = name
        self.n: int = n
        self.profile: str = config.profile
        self.contradictions: float = config.contradictions
        self.shares: Mapping[str, float] = {}
        self.path: Path | None = None
        self.test_forms: Path | None = None
        self.author_range: range = config.author_range
        self.offset: int = 0


def _part(config: SuiteSettings, name: str, facts: int, seed: int) -> Suite:
    """A part with about so many taught facts: a suite may count in larger units, such as chains."""
    suite = build_suite(_Part(config, name, facts), seed)
    units = max(1, round(facts * facts / len(suite.taught)))
    return suite if units == facts else build_suite(_Part(config, name, units), seed)


def mixture(parts: Sequence[Suite]) -> Suite:
    """Several suites as one, part after part.

    Raises:
        DataError: Two parts ask the same question with different answers.
    """
    questions = [q for part in parts for fact in part.taught for q in fact.questions]
    untaught = tuple(q for part in parts for q in part.untaught)
    require_unambiguous(NAME, [*questions, *untaught])
    return Suite(
        name=NAME,
        taught=tuple(fact for part in parts for fact in part.taught),
        distractors=tuple(fact for part in parts for fact in part.distractors),
        untaught=untaught,
        near_miss=tuple(q for part in parts for q in part.near_miss),
        conflict=tuple(recall for part in parts for recall in part.conflict),
        new=tuple(recall for part in parts for recall in part.new),
        unseen=tuple(q for part in parts for q in part.unseen),
        statistics=replace(_merged([part.statistics for part in parts]), ceiling=ceiling(questions)),
        notes=tuple(note for part in parts for note in part.notes),
    )


def _merged(parts: Sequence[SuiteStatistics]) -> SuiteStatistics:
    """Figures by relation and form of all parts, whose relations and forms have different names."""

    def joined(name: str) -> dict[str, float]:
        return {key: value for part in parts for key, value in getattr(part, name).items()}

    names = ("majority", "jaccard", "majority_sample", "jaccard_masked", "entropy")
    distinct = {relation: count for part in parts for relation, count in part.distinct.items()}
    return SuiteStatistics(ceiling=1.0, distinct=distinct, **{name: joined(name) for name in names})


@register_suite(NAME)
def build(config: SuiteSettings, seed: int) -> Suite:
    """The suite ``mixed`` of a configuration: about ``suite.n`` facts, shared out by ``suite.shares``."""
    if not config.shares or NAME in config.shares or min(config.shares.values()) <= 0:
        raise ConfigError(
            f"suite.shares: expected at least one other suite with a share above 0, found {dict(config.shares)}; "
            "for example {episodic: 0.6, relational: 0.3}"
        )
    if config.test_forms is not None:
        raise ConfigError("suite.test_forms has no use for the suite 'mixed': every part has test forms of its own")
    shares = apportion(config.n, config.shares, dict.fromkeys(config.shares, config.n))
    return mixture([_part(config, name, facts, seed) for name, facts in shares.items() if facts])
