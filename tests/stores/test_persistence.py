from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pipeline
from pipeline.artifacts import GenerationStore
from pipeline.config import StoreConfig
from pipeline.errors import StoreError
from pipeline.stores import EpisodicStore, load, metadata_of, save
from tests.stores.examples import BagOfWords, Candidates

TEXTS = ("Mona Hale bought a lantern", "Silvio Petrakis sold a kettle", "Odalys Brandt lost a violin")


@pytest.fixture
def generations(tmp_path: Path) -> GenerationStore:
    return GenerationStore.of(tmp_path, "day-01", "episodic")


def test_a_saved_store_opens_as_it_was(
    store: EpisodicStore, candidates: Candidates, generations: GenerationStore, encoder: BagOfWords
) -> None:
    store.write(candidates(*TEXTS), enforce=False)
    store.fold_feedback({"e1": 2}, {"e1": True}, "run-1")
    store.decay(3)
    query = encoder.encode(["who sold a kettle"])
    recalled = store.recall(query, 3)
    save(store, generations)
    back = load(generations, "day-01", store.config, store.encoder)
    assert metadata_of(back) == metadata_of(store) and back.episodes.rows == store.episodes.rows
    assert back.recall(query, 3) == recalled
    assert not back.fold_feedback({"e1": 2}, {}, "run-1"), "a folded run stays folded"


def test_another_process_recalls(
    store: EpisodicStore, candidates: Candidates, generations: GenerationStore, encoder: BagOfWords
) -> None:
    store.write(candidates(*TEXTS), enforce=False)
    save(store, generations)
    script = f"""
from pathlib import Path
import numpy as np
from pipeline.artifacts import GenerationStore
from pipeline.config import StoreConfig
from pipeline.stores import EncoderIdentity, load
store = load(GenerationStore(Path({str(generations.folder)!r})), "day-01", StoreConfig(expansion=1024, active=32),
             EncoderIdentity("bag-of-words", {store.encoder.digest!r}, 64))
print(store.recall(np.array([{encoder.encode(["a violin"])[0].tolist()}], np.float32), 1)[0][0].episode.text)
"""
    path = os.pathsep.join(str(Path(folder).parent) for folder in pipeline.__path__)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout.strip() == "Odalys Brandt lost a violin"


def test_nothing_published_is_an_empty_store(store: EpisodicStore, generations: GenerationStore) -> None:
    assert len(load(generations, "day-01", store.config, store.encoder)) == 0


def test_another_encoder_is_an_error_and_another_name_for_it_is_not(
    store: EpisodicStore, candidates: Candidates, generations: GenerationStore
) -> None:
    store.write(candidates(*TEXTS), enforce=False)
    save(store, generations)
    with pytest.raises(StoreError, match="keys were made by encoder 'bag-of-words'"):
        load(generations, "day-01", store.config, replace(store.encoder, digest="f" * 64))
    assert len(load(generations, "day-01", store.config, replace(store.encoder, name="/a/copy"))) == 3


def test_another_session_or_version_is_an_error(
    store: EpisodicStore, candidates: Candidates, generations: GenerationStore
) -> None:
    store.write(candidates(*TEXTS), enforce=False)
    generation = save(store, generations)
    with pytest.raises(StoreError, match="session 'day-02'"):
        load(generations, "day-02", store.config, store.encoder)
    table = generation.table("episodes", "episodes/1")
    generations.publish({"episodes": table}, {**metadata_of(store), "store_version": 99})
    with pytest.raises(StoreError, match="expected store version 1, found 99"):
        load(generations, "day-01", store.config, store.encoder)


@pytest.mark.parametrize("change", [{"active": 16}, {"projection_seed": 5}, {"expansion": 512}])
def test_another_sparse_code_is_made_anew(
    store: EpisodicStore, candidates: Candidates, generations: GenerationStore, change: dict[str, int]
) -> None:
    store.write(candidates(*TEXTS), enforce=False)
    save(store, generations)
    config = StoreConfig(**{"expansion": 1024, "active": 32, **change})
    back = load(generations, "day-01", config, store.encoder)
    expected = back.expansion.encode(store.episodes.keys)
    np.testing.assert_array_equal(back.episodes.code.units, expected.units)


def test_session_names_are_checked(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="session"):
        GenerationStore.of(tmp_path, "../x", "episodic")
