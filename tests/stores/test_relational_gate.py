"""The gate of relations: each of its parts decides a verdict."""

from __future__ import annotations

import json

import pytest

from pipeline.config import GateConfig
from pipeline.config.memory import RelationalGateConfig
from pipeline.stores import GateDecision
from tests.stores.relational_examples import chain, edge, judged, relational_store, taught

STORE = ("s", "Quill Emporium", "is in", "Hask Hollow")


def decisions(*facts: object, config: GateConfig | None = None) -> list[GateDecision]:
    return judged(relational_store(), list(facts), config)[1]  # type: ignore[arg-type]


def parts(decision: GateDecision) -> dict[str, float]:
    found: dict[str, float] = json.loads(decision.parts)
    return found


def test_a_sure_new_statement_passes_and_the_same_again_does_not() -> None:
    first, again = decisions(edge(*STORE), edge("t", *STORE[1:]))
    assert (first.accepted, first.reason, first.nearest) == (True, "novel", "")
    assert (again.accepted, again.reason, again.nearest) == (False, "duplicate", "s")
    assert first.kind == "relational" and parts(first) == {"confidence": 1, "novelty": 1, "degree": 0, "recency": 1}


def test_a_correction_is_news_and_what_it_overtook_is_not() -> None:
    old, new, late = decisions(
        edge(*STORE, time=1),
        edge("t", "Quill Emporium", "is in", "Trent", time=5),
        edge("u", "Quill Emporium", "is in", "Bel Cross", time=3),
    )
    assert [d.accepted for d in (old, new, late)] == [True, True, False]
    assert (new.nearest, late.nearest, late.reason) == ("s", "t", "outdated")


def test_a_doubtful_statement_passes_only_where_it_joins_what_is_known() -> None:
    alone = edge("x", "Bo Lind", "works at", "Quill Emporium", confidence=0.2)
    assert decisions(alone)[0].reason == "doubtful"
    joined = decisions(edge(*STORE), alone)[1]
    assert joined.accepted and parts(joined)["degree"] == 0.5


@pytest.mark.parametrize(("flag", "reason"), [("reward", "rewarded"), ("pin", "pinned")])
def test_reward_and_pin_let_anything_pass(flag: str, reason: str) -> None:
    decision = decisions(edge(*STORE), edge("t", *STORE[1:], **{flag: True}))[1]
    assert decision.accepted and decision.reason == reason


def test_weights_and_threshold_decide() -> None:
    strict = GateConfig(relational=RelationalGateConfig(threshold=0.9))
    assert not decisions(edge(*STORE), config=strict)[0].accepted
    free = GateConfig(relational=RelationalGateConfig(novelty=0.0, threshold=0.3))
    assert all(d.accepted for d in decisions(edge(*STORE), edge("t", *STORE[1:]), config=free))


def test_the_store_is_known_too_and_an_older_version_is_not_held_against_a_fact() -> None:
    store = taught(*chain())
    again, renamed = judged(store, [chain()[0], edge("z", *STORE[1:])])[1]
    assert again.accepted and renamed.reason == "duplicate" and renamed.nearest == "b"


def test_refused_statements_are_unknown_to_later_ones_when_the_gate_is_enforced() -> None:
    doubtful = [edge(*STORE, confidence=0.0), edge("t", *STORE[1:], confidence=0.1)]
    kept = decisions(*doubtful)
    dropped = decisions(*doubtful, config=GateConfig(enforce=True))
    assert parts(kept[1])["novelty"] == 0 and parts(dropped[1])["novelty"] == 1


def test_salience_ranks_as_the_score_does() -> None:
    rows = judged(relational_store(), [edge(*STORE), edge("t", *STORE[1:], pin=True)])[0].rows
    assert 0 < rows[0].salience < rows[1].salience < 1 and rows[0].gate_score == pytest.approx(0.9)
