"""The gate's default threshold on the real model's surprise and the real encoder's novelty."""

from __future__ import annotations

import pytest

from pipeline.config import EncoderConfig, GateConfig, ModelConfig, StoreConfig
from pipeline.stores import (
    SURPRISE_CONTEXT,
    SURPRISE_PRIOR,
    EncoderIdentity,
    EpisodicStore,
    SentenceEncoder,
    episode_of,
    judge,
)
from pipeline.suites.episodic import build_episodic
from pipeline.suites.types import Fact

PREDICTABLE = (
    "The sun rose in the morning.",
    "Water is wet.",
    "The sky is blue.",
    "People eat food when they are hungry.",
    "He went to bed because he was tired.",
    "The children went to school on Monday.",
)


@pytest.mark.model
def test_events_pass_and_predictable_or_repeated_ones_do_not() -> None:
    from pipeline.language.models import load_model
    from pipeline.language.surprise import word_surprise

    suite = build_episodic(8, seed=4, profile="default")
    events = [fact.text for fact in (*suite.taught, *suite.distractors)]
    texts = [*PREDICTABLE, *events, *events[:3]]
    encoder = SentenceEncoder(EncoderConfig())
    store = EpisodicStore("s", StoreConfig(), EncoderIdentity(encoder.name, encoder.digest, encoder.dimension))
    rows = [episode_of(Fact(id=str(i), text=text), source="test", created=i) for i, text in enumerate(texts)]
    nats = word_surprise(load_model(ModelConfig()), texts, context=SURPRISE_CONTEXT, prior=SURPRISE_PRIOR)
    candidates = store.candidates(rows, encoder.encode(texts))
    judged, decisions = judge(candidates, nats, store.episodes, GateConfig(enforce=True))
    assert [row.accepted for row in judged.rows] == [False] * 6 + [True] * len(events) + [False] * 3
    assert [d.reason for d in decisions[:6]] == ["predictable"] * 6
    assert [d.reason for d in decisions[-3:]] == ["duplicate"] * 3
