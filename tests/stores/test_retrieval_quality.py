"""How often the event that a question asks for comes first, on suites that no default was chosen for."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.config import EncoderConfig, StoreConfig
from pipeline.stores import EncoderIdentity, EpisodicStore, SentenceEncoder, StoreRetriever, episode_of
from pipeline.suites.episodic import build_episodic


@pytest.mark.model
def test_taught_events_are_found_by_their_test_questions() -> None:
    suite = build_episodic(50, seed=3, profile="default")
    encoder = SentenceEncoder(EncoderConfig())
    facts = (*suite.taught, *suite.distractors)
    rows = [episode_of(fact, source="suite:episodic", created=i) for i, fact in enumerate(facts)]
    vectors = encoder.encode([row.text for row in rows])
    asked = [question for fact in suite.taught for question in fact.asked("test")]
    for candidates, least in ((1024, 0.98), (48, 0.98)):  # all ranked exactly; a third nominated by sparse keys
        config = StoreConfig(candidates=candidates)
        store = EpisodicStore("day-01", config, EncoderIdentity(encoder.name, encoder.digest, encoder.dimension))
        store.write(store.candidates(rows, vectors), enforce=False)
        found = StoreRetriever(store, encoder).retrieve([question.question for question in asked], k=1)
        right = [m[0].episode_id == question.item_id for m, question in zip(found, asked, strict=True)]
        assert np.mean(right) >= least
