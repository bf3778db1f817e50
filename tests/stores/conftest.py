"""A small store, a stand-in for the sentence encoder, and a maker of candidates."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from pipeline.config import StoreConfig
from pipeline.stores import EncoderIdentity, Episode, Episodes, EpisodicStore
from tests.stores.examples import DIMENSION, BagOfWords, Candidates


@pytest.fixture
def encoder() -> BagOfWords:
    return BagOfWords()


@pytest.fixture
def config() -> StoreConfig:
    return StoreConfig(expansion=1024, active=32)


@pytest.fixture
def store(config: StoreConfig) -> EpisodicStore:
    return EpisodicStore("day-01", config, EncoderIdentity(BagOfWords.name, BagOfWords.digest, DIMENSION))


@pytest.fixture
def candidates(store: EpisodicStore, encoder: BagOfWords) -> Candidates:
    """Builds accepted candidates named e0, e1, … from texts; keywords change every row."""

    def build(*texts: str, **changes: object) -> Episodes:
        rows = [
            Episode(
                f"e{i}", "day-01", text, digest=hashlib.sha256(text.encode()).hexdigest(), accepted=True, salience=0.5
            )
            for i, text in enumerate(texts)
        ]
        return store.candidates([replace(row, **changes) for row in rows], encoder.encode(texts))  # type: ignore[arg-type]

    return build
