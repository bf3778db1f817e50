from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import EncoderConfig
from pipeline.errors import ModelError
from pipeline.stores import SentenceEncoder

TEXTS = ["Mona Hale bought a lantern.", "Hi.", "On Friday, at the old mill, Silvio Petrakis repaired a copper kettle."]


def test_the_digest_is_that_of_the_weights() -> None:
    encoder = SentenceEncoder(EncoderConfig())
    (weights,) = encoder.folder.glob("*.safetensors")
    assert encoder.digest == hashlib.sha256(weights.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "neither", "a/b/c"])
def test_a_missing_folder_is_an_error(name: str) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        _ = SentenceEncoder(EncoderConfig(name=name)).folder


def test_a_folder_without_safetensors_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelError, match=r"expected \*.safetensors"):
        _ = SentenceEncoder(EncoderConfig(name=str(tmp_path))).digest


@pytest.mark.parametrize("content", [None, "torn", "[]", "{}"])
def test_a_folder_without_a_usable_configuration_is_an_error(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match="expected hidden_size"):
        _ = SentenceEncoder(EncoderConfig(name=str(tmp_path))).dimension


def test_broken_weights_are_an_error(tmp_path: Path) -> None:
    for file in SentenceEncoder(EncoderConfig()).folder.glob("*.json"):
        shutil.copy(file, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match="does not load"):
        SentenceEncoder(EncoderConfig(name=str(tmp_path))).encode(["x"])


def test_the_hub_is_not_asked_when_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        _ = SentenceEncoder(EncoderConfig(name="nobody/no-such-encoder")).folder


def test_vectors_have_length_one_and_do_not_depend_on_order_or_repetition() -> None:
    encoder = SentenceEncoder(EncoderConfig(batch_size=2))
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (3, 384) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(encoder.encode([*TEXTS[::-1], TEXTS[0]]), vectors[[2, 1, 0, 0]])
    alone = np.vstack([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, vectors, atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dimension) == (0, 384)


def test_a_question_lies_nearest_to_its_event() -> None:
    encoder = SentenceEncoder(EncoderConfig())
    question = encoder.encode(["Who repaired something at the mill?"])[0]
    assert int((encoder.encode(TEXTS) @ question).argmax()) == 2
