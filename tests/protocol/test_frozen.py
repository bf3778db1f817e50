"""A frozen suite is the one that was frozen, whole, and closed."""

from __future__ import annotations

from dataclasses import replace

import pytest

import pipeline.protocol.frozen as module
from pipeline.errors import ConfigError, DataError
from pipeline.protocol.frozen import FROZEN, Frozen, load_frozen, suite_digest
from pipeline.suites.episodic import build_episodic


@pytest.mark.parametrize("name", FROZEN)
def test_a_frozen_suite_still_has_its_digest(name: str) -> None:
    known = FROZEN[name]
    assert suite_digest(build_episodic(known.facts, known.seed)) == known.sha256
    suite = load_frozen(name)
    assert len(suite.taught) == known.facts and suite.statistics.ceiling == 1.0
    assert load_frozen(name, 3).taught == suite.taught[:3]


def test_v1_is_what_was_published() -> None:
    digest = "fa7b548570f61c8ec46310f8eac77b8edafc8c87597bf64eab9b25ce496d29cd"
    assert FROZEN["v1"] == Frozen(facts=50, seed=20261127, sha256=digest)


def test_the_digest_sees_every_text() -> None:
    suite = build_episodic(2, 7)
    fact, control = suite.taught[0], suite.untaught[0]
    question = replace(fact.questions[-1], question="Changed?")
    changed = [
        replace(suite, taught=(replace(fact, text=fact.text + "!"), *suite.taught[1:])),
        replace(suite, taught=(replace(fact, questions=(*fact.questions[:-1], question)), *suite.taught[1:])),
        replace(suite, untaught=(replace(control, answer="changed"), *suite.untaught[1:])),
        replace(suite, near_miss=suite.near_miss[1:]),
        replace(suite, distractors=suite.distractors[1:]),
    ]
    assert len({suite_digest(each) for each in [suite, *changed]}) == 1 + len(changed)


def test_another_generator_and_another_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FROZEN", {"v1": Frozen(2, 5, "0" * 64)})
    load_frozen.cache_clear()
    with pytest.raises(DataError, match="SHA-256"):
        load_frozen("v1")
    with pytest.raises(ConfigError, match="has 2 facts"):
        load_frozen("v1", 3)
    with pytest.raises(ConfigError, match="unknown frozen suite 'v9'"):
        load_frozen("v9")
