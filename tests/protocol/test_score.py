"""Scoring the tiny model, adapters on it and other models; what is no entrant is refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.artifacts import read_json, write_json
from pipeline.config import EvaluationConfig, LoraConfig, ModelConfig
from pipeline.config.protocol import ScoreConfig
from pipeline.errors import ModelError
from pipeline.language.adapter import CONFIG, attach, save_adapter
from pipeline.language.models import LanguageModel
from pipeline.progress import Silent
from pipeline.protocol.checkpoints import load_checkpoint, trained_here
from pipeline.protocol.score import is_complete, score
from tests.language.tiny import tiny_language_model, tiny_model, tiny_tokenizer
from tests.stages.nights import ScriptedNight

LORA = LoraConfig(rank=2, alpha=4, first_layer=2, start="random")


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))


def small(folder: Path) -> ScoreConfig:
    asked = EvaluationConfig(max_new_tokens=3, sanity_n=8, drift_tokens=20, bootstrap=20, secondary_n=2)
    return ScoreConfig(facts=2, model=ModelConfig(name=str(folder), device="cpu"), evaluation=asked)


def adapter(folder: Path, size: float) -> Path:
    """An adapter of the tiny model; ``size`` 0 changes nothing."""
    lm = tiny_language_model()
    peft = attach(lm, LORA, seed=1)
    with torch.no_grad():
        for name, parameter in lm.model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(size)
    save_adapter(peft, folder)
    told = read_json(folder / CONFIG)
    write_json(folder / CONFIG, told | {"base_model_name_or_path": "someone/tiny"})
    return folder


def scored(name: object, base: Path, root: Path) -> dict[str, Any]:
    found = score(str(name), "v1", small(base), root, Silent())
    json.dumps(found, allow_nan=False)
    return found


def test_the_base_an_idle_adapter_and_a_copy_score_alike(base_folder: Path, tmp_path: Path) -> None:
    base = scored("none", base_folder, tmp_path)
    idle = scored(adapter(tmp_path / "idle", 0.0), base_folder, tmp_path)
    copy = scored(base_folder, base_folder, tmp_path)
    assert [found["entrant"]["kind"] for found in (base, idle, copy)] == ["base", "adapter", "model"]
    for found in (base, idle, copy):
        assert found["drift"]["kl_base"] == pytest.approx(0.0, abs=1e-6)
        assert found["drift"]["ppl_ratio"] == pytest.approx(1.0, abs=1e-5)
        assert found["sanity"]["delta"] == 0.0 and found["takeover"] == 0.0
        assert found["held_out"] == base["held_out"] and found["untaught"]["n"] == base["untaught"]["n"] > 0
    assert base["suite"]["facts"] == 2 and not base["suite"]["complete"]
    assert base["held_out"]["worst_form"] in base["held_out"]["by_form"]


def test_an_adapter_that_changes_the_model_drifts(base_folder: Path, tmp_path: Path) -> None:
    found = scored(adapter(tmp_path / "loud", 0.5), base_folder, tmp_path)
    domains = found["drift"]["kl_by_domain"]
    assert set(domains) == {"prose", "chat", "known"} and min(domains.values()) > 0.01
    assert found["drift"]["kl_base"] == max(domains.values())


@pytest.fixture
def base(base_folder: Path) -> LanguageModel:
    from pipeline.language.models import load_for_evaluation

    return load_for_evaluation(ModelConfig(name=str(base_folder), device="cpu"))


def refused(name: object, base: LanguageModel, root: Path, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        load_checkpoint(str(name), base, ModelConfig(name=base.name, device="cpu"), root)


def test_what_is_no_entrant_is_refused(base: LanguageModel, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", base, tmp_path, "is no model")
    refused("champion", base, tmp_path, "no champion")
    refused("no-such-run", base, tmp_path, "expected a model's folder")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}")
    refused(tmp_path / "half", base, tmp_path, "cannot load the model")


def test_an_adapter_of_another_base_or_kind_is_refused(base: LanguageModel, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "mine", 0.1)
    told = read_json(folder / CONFIG)
    assert load_checkpoint(str(folder), base, ModelConfig(), tmp_path).kind == "adapter"
    write_json(folder / CONFIG, told | {"base_model_name_or_path": "someone/else"})
    refused(folder, base, tmp_path, "trained on 'someone/else'")
    write_json(folder / CONFIG, told | {"peft_type": "PREFIX_TUNING"})
    refused(folder, base, tmp_path, "one set of weights")
    write_json(folder / CONFIG, told)
    (folder / "adapter_model.safetensors").unlink()
    refused(folder, base, tmp_path, "adapter_model.safetensors is missing")


def test_an_adapter_whose_matrices_do_not_fit_is_refused(base: LanguageModel, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = adapter(tmp_path / "mine", 0.1)
    weights = load_file(folder / "adapter_model.safetensors")
    moved = {name.replace("layers.3", "layers.9"): value for name, value in weights.items()}
    save_file(moved, folder / "adapter_model.safetensors")
    refused(folder, base, tmp_path, "another base: .* has no matrix")
    wide = {n: torch.zeros(2, 48) if "q_proj.lora_A" in n else value for n, value in weights.items()}
    save_file(wide, folder / "adapter_model.safetensors")
    refused(folder, base, tmp_path, r"has shape \(2, 48\), but .* needs \(rank, 32\)")


def test_a_model_of_another_shape_is_refused(base: LanguageModel, tmp_path: Path) -> None:
    model = tiny_model()
    model.model.layers = model.model.layers[:2]
    model.config.num_hidden_layers = 2
    model.config.layer_types = None
    model.save_pretrained(tmp_path / "short")
    tiny_tokenizer().save_pretrained(tmp_path / "short")
    refused(tmp_path / "short", base, tmp_path, "num_hidden_layers=2")


def test_only_the_whole_suite_under_the_protocol_s_settings_is_complete() -> None:
    whole = ScoreConfig()
    assert is_complete(whole, 50) and not is_complete(ScoreConfig(facts=4), 50)
    assert is_complete(ScoreConfig(evaluation=whole.evaluation.model_copy(update={"batch_size": 8})), 50)
    assert not is_complete(ScoreConfig(evaluation=whole.evaluation.model_copy(update={"max_new_tokens": 60})), 50)


def test_the_champion_and_a_run_mean_the_adapter_that_a_night_trained(
    monkeypatch: pytest.MonkeyPatch, artifact_root: Path
) -> None:
    run = ScriptedNight(monkeypatch).run()
    for name in ("champion", run.run_id, str(run.path), "consolidation/episodic"):
        assert trained_here(name, ModelConfig(), artifact_root) == run.path / "lora_train" / "adapter"
    with pytest.raises(ModelError, match="no champion"):
        trained_here("champion", ModelConfig(name="another"), artifact_root)
