"""The adapter: it starts as nothing, sits where it should, and merged it answers as it did unmerged."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.config.language import LoraConfig
from pipeline.errors import ModelError, TrainingError
from pipeline.language.adapter import attach, b_norm, go_on_from, load_adapter, save_adapter, trainable
from pipeline.language.models import LanguageModel
from tests.language.examples import mixed_rows, plain_logits

CONFIG = LoraConfig(first_layer=2, rank=4, alpha=8)


def stir(lm: LanguageModel) -> None:
    """Give B matrices values, as training would."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in trainable(lm.model).items():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))


def test_a_fresh_adapter_changes_nothing_and_sits_in_the_upper_layers(
    tiny: LanguageModel, own_tiny: LanguageModel
) -> None:
    attach(own_tiny, CONFIG, seed=1)
    parameters = trainable(own_tiny.model)
    assert len(parameters) == 2 * 2 * len(CONFIG.targets)
    assert {name.split(".")[2] for name in parameters} == {"2", "3"} and all("lora_" in name for name in parameters)
    assert all(p.dtype == torch.float32 for p in parameters.values())
    assert b_norm(own_tiny.model) == 0.0
    row = mixed_rows(tiny)[0]
    torch.testing.assert_close(plain_logits(own_tiny, row), plain_logits(tiny, row), atol=0, rtol=0)


def test_the_seed_decides_the_start(tiny: LanguageModel, own_tiny: LanguageModel) -> None:
    other = copy.deepcopy(own_tiny.model)
    attach(own_tiny, CONFIG, seed=1)
    first = trainable(own_tiny.model)
    own_tiny.model = other
    third = copy.deepcopy(other)
    attach(own_tiny, CONFIG, seed=1)
    same = trainable(own_tiny.model)
    own_tiny.model = third
    attach(own_tiny, CONFIG, seed=2)
    different = trainable(own_tiny.model)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], different[name]) for name in first)


@pytest.mark.parametrize("rank_stabilised", [False, True])
def test_merged_it_answers_as_unmerged(
    tiny: LanguageModel, own_tiny: LanguageModel, tmp_path: Path, rank_stabilised: bool
) -> None:
    peft = attach(own_tiny, CONFIG.model_copy(update={"rank_stabilised": rank_stabilised}), seed=1)
    stir(own_tiny)
    save_adapter(peft, tmp_path)
    assert (tmp_path / "adapter_model.safetensors").exists() and not list(tmp_path.glob("*.bin"))
    merged = load_adapter(tiny, tmp_path)
    for row in mixed_rows(tiny):
        unmerged = plain_logits(own_tiny, row)
        torch.testing.assert_close(plain_logits(merged, row), unmerged, atol=1e-3, rtol=1e-4)
        assert (unmerged - plain_logits(tiny, row)).abs().max() > 0.1
    assert not trainable(merged.model) and type(merged.model) is type(tiny.model)
    assert not any("lora" in name for name, _ in tiny.model.named_modules())  # the base is untouched
    squares = [p.double().square().sum() for name, p in trainable(own_tiny.model).items() if "lora_B" in name]
    assert b_norm(own_tiny.model) == pytest.approx(float(sum(s.detach() for s in squares)) ** 0.5)


def test_faults_are_named(own_tiny: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors is missing"):
        load_adapter(own_tiny, tmp_path)
    with pytest.raises(TrainingError, match=r"lora\.first_layer=4, but the model 'tiny' has layers 0 to 3"):
        attach(own_tiny, LoraConfig(first_layer=4), seed=1)


def test_a_night_goes_on_from_an_earlier_one(tiny: LanguageModel, own_tiny: LanguageModel, tmp_path: Path) -> None:
    base = copy.deepcopy(own_tiny.model)
    peft = attach(own_tiny, CONFIG, seed=1)
    stir(own_tiny)
    save_adapter(peft, tmp_path / "adapter")
    before = {name: value.detach().clone() for name, value in trainable(own_tiny.model).items()}
    own_tiny.model = copy.deepcopy(base)
    go_on_from(attach(own_tiny, CONFIG, seed=2), tmp_path / "adapter")
    after = trainable(own_tiny.model)
    assert before.keys() == after.keys() and all(torch.equal(value, after[name]) for name, value in before.items())
    for changed in ({"rank": 3}, {"first_layer": 1}, {"targets": ("q_proj",)}):
        own_tiny.model = copy.deepcopy(base)
        peft = attach(own_tiny, CONFIG.model_copy(update=changed), seed=2)
        with pytest.raises(TrainingError, match="set fresh=true"):
            go_on_from(peft, tmp_path / "adapter")
    with pytest.raises(ModelError, match="no adapter in"):
        go_on_from(peft, tmp_path / "absent")


SAVED = """
from pathlib import Path
from tests.language.tiny import tiny_language_model
from pipeline.config.language import LoraConfig
from pipeline.language.adapter import attach, save_adapter
save_adapter(attach(tiny_language_model(), LoraConfig(first_layer=2, rank=4), seed=3), Path("{folder}"))
"""


def test_the_same_adapter_gives_the_same_files_in_every_process(tmp_path: Path) -> None:
    """PEFT keeps the names of adapted matrices in a set, whose order depends on the process's hash seed."""
    for seed in ("1", "2"):
        code = SAVED.format(folder=tmp_path / seed)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])}
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    first, second = ({f.name: f.read_bytes() for f in sorted((tmp_path / seed).iterdir())} for seed in ("1", "2"))
    assert first == second and {"adapter_config.json", "adapter_model.safetensors"} <= first.keys()
