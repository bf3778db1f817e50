"""Adapters from anywhere: what is pickled, torn, oversized, of another base or asks for more is refused by its file."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.config.language import LoraConfig
from pipeline.errors import ModelError
from pipeline.language.adapter import attach, load_adapter, save_adapter
from pipeline.language.adapter_check import CONFIG, WEIGHTS, check_adapter
from pipeline.language.models import LanguageModel
from tests.language.tiny import tiny_language_model

RAN: list[str] = []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound adapter of the tiny model."""
    save_adapter(
        attach(tiny_language_model(), LoraConfig(rank=2, alpha=4, first_layer=2), seed=1), tmp_path / "adapter"
    )
    return tmp_path / "adapter"


def refused(folder: Path, lm: LanguageModel, words: str) -> None:
    with pytest.raises(ModelError, match=words) as error:
        load_adapter(lm, folder)
    assert str(folder) in str(error.value)


def test_a_sound_adapter_is_loaded(folder: Path, tiny: LanguageModel) -> None:
    check_adapter(folder, tiny)
    assert load_adapter(tiny, folder).model is not tiny.model


class _Bomb:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return RAN.append, ("it ran",)


@pytest.mark.parametrize("name", ["adapter_model.bin", "adapter.pt", "weights.pkl"])
def test_pickled_weights_are_never_read(folder: Path, tiny: LanguageModel, name: str) -> None:
    (folder / WEIGHTS).unlink()
    (folder / name).write_bytes(pickle.dumps(_Bomb()))
    refused(folder, tiny, "pickled weights")
    assert not RAN


def test_a_pickle_by_the_right_name_is_no_safetensors_file(folder: Path, tiny: LanguageModel) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps(_Bomb()))
    refused(folder, tiny, "no whole safetensors file")
    assert not RAN


def header(told: Any, data: bytes = bytes(8)) -> bytes:
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        header(b"{"),
        header(b"[" * 5000),
        (1 << 60).to_bytes(8, "little") + b"{}",
        header({"w": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 8]}}),
        header({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 1 << 50]}}),
        header({"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}),
        header({"w": {"dtype": "NONE", "shape": [2], "data_offsets": [0, 8]}}),
        header({f"w{i}": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for i in range(2)}),
    ],
    ids=range(10),
)
def test_hostile_headers_are_one_error(folder: Path, tiny: LanguageModel, content: bytes) -> None:
    (folder / WEIGHTS).write_bytes(content)
    refused(folder, tiny, "no whole safetensors file")


def test_half_a_file_is_one_error(folder: Path, tiny: LanguageModel) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])
    refused(folder, tiny, "no whole safetensors file")


def test_an_oversized_file_is_refused_before_it_is_read(folder: Path, tiny: LanguageModel) -> None:
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(1 << 33)
    refused(folder, tiny, "more than all weights of the base")


def changed(folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    tensors = load_file(folder / WEIGHTS)
    name = next(iter(tensors))
    save_file(tensors | {name: change(tensors[name]).contiguous()}, folder / WEIGHTS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.fill_(float("nan")), "NaN or infinity"),
        (lambda w: w.fill_(float("inf")), "NaN or infinity"),
        (lambda w: w.to(torch.int32), "numbers of type torch.int32"),
        (lambda w: w.to(torch.float8_e4m3fn), "numbers of type"),
        (lambda w: w[:, :-1], "belongs to another base"),
        (lambda w: w[0], "belongs to another base"),
        (lambda w: w[None], "belongs to another base"),
    ],
    ids=["nan", "inf", "int", "float8", "narrow", "flat", "deep"],
)
def test_matrices_that_do_not_fit_are_refused(
    folder: Path, tiny: LanguageModel, change: Callable[[torch.Tensor], torch.Tensor], words: str
) -> None:
    changed(folder, change)
    refused(folder, tiny, words)


def test_an_adapter_of_other_layers_belongs_to_another_base(folder: Path, tiny: LanguageModel) -> None:
    tensors = {name.replace("layers.2", "layers.77"): w for name, w in load_file(folder / WEIGHTS).items()}
    save_file(tensors, folder / WEIGHTS)
    refused(folder, tiny, "has no matrix model.layers.77")


def test_another_rank_than_the_configuration_says_is_one_error(folder: Path, tiny: LanguageModel) -> None:
    told = json.loads((folder / CONFIG).read_bytes())
    (folder / CONFIG).write_text(json.dumps(told | {"r": 3}))
    refused(folder, tiny, "that can be merged")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"auto_mapping": {"parent_library": "os", "base_model_class": "x"}}, "auto_mapping is set"),
        ({"megatron_config": {"a": 1}, "megatron_core": "antigravity"}, "megatron_config is set"),
        ({"layer_replication": [[0, 4], [0, 4]]}, "layer_replication is set"),
        ({"target_modules": "(a+)+$"}, "target_modules is a pattern"),
        ({"rank_pattern": {"(a+)+$": 4}}, "regular expression"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"r": 10**9}, "rank is 1000000000"),
        ({"r": "8"}, "rank is '8'"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"peft_type": "XLORA"}, "type 'XLORA'"),
        ({"peft_type": "PROMPT_TUNING"}, "one set of weights"),
    ],
    ids=range(11),
)
def test_a_configuration_that_asks_for_more_is_refused(
    folder: Path, tiny: LanguageModel, setting: dict[str, Any], words: str
) -> None:
    told = json.loads((folder / CONFIG).read_bytes())
    (folder / CONFIG).write_text(json.dumps(told | setting))
    refused(folder, tiny, words)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b"{" + b" " * (1 << 20) + b"}"])
def test_a_configuration_that_is_none_is_refused(folder: Path, tiny: LanguageModel, content: bytes) -> None:
    (folder / CONFIG).write_bytes(content)
    refused(folder, tiny, CONFIG)
