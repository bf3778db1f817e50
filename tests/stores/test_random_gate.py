"""The control keeps as many as the gate, whatever they say."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.config import GateConfig
from pipeline.stores import EpisodicStore, judge
from pipeline.stores.random_gate import at_random
from tests.stores.examples import Candidates

TEXTS = [f"Mona Hale bought lantern {number}" for number in range(200)]


def test_as_many_are_kept_and_the_gate_s_own_are_no_likelier(store: EpisodicStore, candidates: Candidates) -> None:
    nats = np.where(np.arange(200) % 4 == 0, 9.0, 1.0)  # the gate may keep every fourth
    judged, decisions = judge(candidates(*TEXTS), nats, store.episodes, GateConfig(enforce=True, threshold=0.5))
    rows, dealt = at_random(judged, decisions)
    kept = {i for i, d in enumerate(decisions) if d.accepted}
    drawn = {i for i, d in enumerate(dealt) if d.accepted}
    assert len(kept) == len(drawn) > 20 and kept != drawn
    assert len(kept & drawn) < 0.6 * len(kept)  # a quarter is expected
    assert [row.accepted for row in rows.rows] == [d.accepted for d in dealt]
    assert [row.salience for row in rows.rows] == [row.salience for row in judged.rows]
    assert [d.score for d in dealt] == [d.score for d in decisions] and {d.reason for d in dealt} == {"random"}


def test_the_same_day_is_drawn_the_same_and_another_one_otherwise(store: EpisodicStore, candidates: Candidates) -> None:
    def drawn(*texts: str) -> list[bool]:
        judged = judge(candidates(*texts), np.arange(len(texts)) % 10.0, store.episodes, GateConfig(enforce=True))
        return [decision.accepted for decision in at_random(*judged)[1]]

    assert drawn(*TEXTS) == drawn(*TEXTS) != drawn(*TEXTS[1:], TEXTS[0])
    assert drawn() == []


def test_a_gate_that_refuses_nothing_cannot_draw() -> None:
    with pytest.raises(ValidationError, match=r"gate\.enforce=true as well"):
        GateConfig(random=True)
