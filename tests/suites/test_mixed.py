"""The mixed suite: prefixes of its parts, in the shares that were asked for, and nothing ambiguous between them."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.config import SuiteConfig
from pipeline.errors import ConfigError, DataError
from pipeline.suites.episodic import build_episodic
from pipeline.suites.mixed import mixture
from pipeline.suites.registry import build_suite
from pipeline.suites.relational import build_relational
from pipeline.suites.spatial import build_spatial
from pipeline.suites.types import Suite


def mixed(n: int, seed: int = 1337, **mix: float) -> Suite:
    return build_suite(SuiteConfig(name="mixed", n=n, shares=mix), seed)


@pytest.mark.parametrize("seed", [1337, 2025])
def test_parts_are_prefixes_of_their_suites_in_their_shares(seed: int) -> None:
    suite = mixed(45, seed, episodic=0.6, relational=0.3)
    kinds = Counter(fact.kind for fact in suite.taught)
    assert kinds["episodic"] == 30 and abs(kinds["relational"] - 15) <= 2
    assert suite.taught[:30] == build_episodic(30, seed).taught
    chains = build_relational(10, seed).taught
    assert suite.taught[30:] == chains[: kinds["relational"]]
    assert len({fact.id for fact in suite.taught}) == len(suite.taught)


def test_statistics_and_controls_cover_all_parts() -> None:
    suite, events, chains = mixed(20, 3, episodic=0.5, relational=0.5), build_episodic(10, 3), build_relational(4, 3)
    assert suite.statistics.ceiling == 1.0
    assert suite.statistics.jaccard == events.statistics.jaccard | chains.statistics.jaccard
    assert suite.statistics.majority.keys() == events.statistics.majority.keys() | chains.statistics.majority.keys()
    assert suite.untaught == events.untaught + chains.untaught and suite.new == events.new + chains.new
    assert suite.distractors == events.distractors and suite.notes == chains.notes


def test_walks_are_a_part_with_their_unseen_pairs() -> None:
    suite = mixed(100, 1337, episodic=0.6, relational=0.3, spatial=0.1)
    walks = build_spatial(10, 1337)
    assert suite.taught[-10:] == walks.taught and suite.unseen == walks.unseen
    assert suite.statistics.ceiling == 1.0
    assert Counter(fact.kind for fact in suite.taught).keys() == {"episodic", "relational", "spatial"}


def test_what_two_parts_answer_differently_is_refused() -> None:
    with pytest.raises(DataError, match="suite mixed: items"):
        mixture([build_episodic(10, 1), *(build_relational(3, seed) for seed in range(40))])
    assert mixture([build_episodic(3, 1)]).taught == build_episodic(3, 1).taught


@pytest.mark.parametrize("mix", [{}, {"mixed": 1.0}, {"episodic": 0.0}, {"episodic": 1.0, "relational": -1.0}])
def test_a_mixture_of_nothing_is_an_error(mix: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"suite\.shares"):
        mixed(5, **mix)
    with pytest.raises(ConfigError, match="expected one of"):
        mixed(5, unheard_of=1.0)
