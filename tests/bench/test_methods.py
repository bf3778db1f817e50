"""Every method on the tiny model: it learns from what it may read, is counted, examined, and not computed twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import pipeline.bench.comparison as comparison
from pipeline.bench.comparison import compare, contend, result_key, row_of, without_tests
from pipeline.bench.methods import Task, method, methods
from pipeline.bench.methods.self_edits import edited
from pipeline.bench.pareto import pareto_front, pareto_plot
from pipeline.config import DistilConfig, EvaluationConfig, LoraConfig, ModelConfig
from pipeline.config.methods import MethodsBenchConfig, RecipeConfig
from pipeline.errors import ConfigError, TrainingError
from pipeline.language.models import LanguageModel
from pipeline.progress import Silent
from pipeline.protocol.frozen import load_frozen
from pipeline.report.plots import png, svg
from tests.language.tiny import tiny_model, tiny_tokenizer
from tests.stages.examples import surprise
from tests.stores.examples import BagOfWords

LORA = LoraConfig(rank=2, alpha=4, first_layer=2, start="random", forms_per_epoch=2)
LITTLE = DistilConfig(memory_forms=1, short=3, long=2, dreams=2, short_tokens=3, long_tokens=3, base_rewrites=0)
ASKED = EvaluationConfig(max_new_tokens=3, sanity_n=8, drift_tokens=20, bootstrap=20, secondary_n=2)


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence encoder alone is replaced; model, training and examination are real."""
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pipeline.stores.encoder.SentenceEncoder", lambda config: BagOfWords())
    for stage in ("teach", "persist_store", "sleep_distil"):
        monkeypatch.setattr(f"pipeline.stages.{stage}.SentenceEncoder", lambda config: BagOfWords())
    monkeypatch.setattr("pipeline.stages.teach.model_surprise", lambda config: surprise)


def config_of(folder: Path, **changes: Any) -> MethodsBenchConfig:
    rates = {name: RecipeConfig(learning_rate=0.01) for name in methods()}
    own: dict[str, Any] = {
        "facts": 2, "passes": 1, "batch_size": 16, "lora": LORA, "distil": LITTLE, "recipes": rates,
        "prefix_tokens": 2, "edits": 2, "edit_tokens": 5, "reply_tokens": 3, "evaluation": ASKED,
        "model": ModelConfig(name=str(folder), device="cpu"),
    }  # fmt: skip
    return MethodsBenchConfig(**(own | changes))


@pytest.mark.parametrize("name", methods())
def test_a_method_is_trained_counted_and_examined(name: str, tiny_folder: Path, tmp_path: Path) -> None:
    if name == "sdft":
        pytest.importorskip("trl")
    found = contend(name, config_of(tiny_folder), tmp_path / name)
    json.dumps(found, allow_nan=False)
    assert found["held_out"]["n"] > 0 and found["untaught"]["n"] > 0 and found["sanity"]["n"] == 8
    trained = name != "rag"
    assert (found["training_tokens"] > 0) == (found["parameters"] > 0) == trained and found["memory_on"] != trained
    assert (found["drift"]["kl_base"] > 1e-6) == trained
    assert bool(found["written_tokens"]) == (name in ("self_edits", "sdft"))
    assert set(row_of(found)) >= {"held-out EM", "worst KL", "tokens", "s"}


def test_rivals_share_the_count_of_tokens_and_differ_in_what_they_adapt(tiny_folder: Path, tmp_path: Path) -> None:
    found = {
        name: contend(name, config_of(tiny_folder), tmp_path / name) for name in ("plain_sft", "peft_default", "full")
    }
    tokens = {one["training_tokens"] for one in found.values()}
    assert len(tokens) == 1
    twice = contend("plain_sft", config_of(tiny_folder, passes=2), tmp_path / "twice")
    assert twice["training_tokens"] == 2 * tokens.pop()
    assert found["full"]["parameters"] == sum(p.numel() for p in tiny_model().parameters())
    assert found["peft_default"]["parameters"] == 4 * 8 * (32 + 32 + 32 + 16)  # q: 32 to 32, v: 32 to 16, four layers


def test_an_idle_prefix_decodes_and_drifts_like_the_model_itself(tiny_folder: Path) -> None:
    from transformers import DynamicCache

    from pipeline.bench.methods.prefix import Prefixed
    from pipeline.language.drift import drift_rows
    from pipeline.language.models import load_for_evaluation
    from pipeline.protocol.entrants import Weights
    from pipeline.suites.drift_text import load_drift

    base = load_for_evaluation(ModelConfig(name=str(tiny_folder), device="cpu"))
    other = replace(base, model=tiny_model(seed=1).to(torch.float32))
    bare, packed = Prefixed(base, other.model, lambda rows: DynamicCache(), 0), Weights(other)
    questions = [q for fact in load_frozen("v1", 3).taught for q in fact.asked("test")][:11]
    ours, theirs = (entrant.answer(questions, ASKED, lambda n: None) for entrant in (bare, packed))
    assert ours == theirs
    rows = drift_rows(base, load_drift("chat"), 60)
    both = [
        sorted(entrant.drift(base, rows, lambda n: None), key=lambda drift: len(drift.kl)) for entrant in (bare, packed)
    ]
    for a, b in zip(*both, strict=True):
        for field in ("kl", "base", "post"):
            torch.testing.assert_close(*(torch.tensor(getattr(x, field)) for x in (a, b)), rtol=1e-3, atol=1e-4)


def test_a_prefix_is_read_as_peft_reads_it(tiny_folder: Path) -> None:
    from peft import PrefixTuningConfig, get_peft_model

    from pipeline.bench.methods.prefix import Prefixed
    from pipeline.bench.programs import quiet
    from pipeline.language.models import load_for_evaluation

    base = load_for_evaluation(ModelConfig(name=str(tiny_folder), device="cpu"))
    with quiet():
        virtual = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
        peft = get_peft_model(tiny_model().float(), virtual).eval()
    prefixed = Prefixed(base, peft.get_base_model(), peft.get_prompt, 3)
    rows = [[5, 6, 7, 8, 9, 10], [11, 12, 13]]
    replies = prefixed._greedy(rows, 4)
    with torch.no_grad():
        for row, reply, own in zip(rows, replies, prefixed._logits(True, rows, [6, 3]), strict=True):
            whole = peft(input_ids=torch.tensor([row]), attention_mask=torch.ones(1, len(row))).logits[0]
            torch.testing.assert_close(own, whole, rtol=1e-4, atol=1e-4)
            text = list(row)
            for _ in range(reply.new_tokens):
                text.append(int(peft(input_ids=torch.tensor([text])).logits[0, -1].argmax()))
            assert base.tokenizer.decode(text[len(row) :], skip_special_tokens=True).strip() == reply.text
            assert not torch.allclose(own, base.model(torch.tensor([row])).logits[0], atol=1e-2)


def test_no_method_receives_a_test_question(monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, tmp_path: Path) -> None:
    seen: list[Task] = []

    def spy(task: Task) -> Any:
        seen.append(task)
        raise TrainingError("seen enough")

    monkeypatch.setattr(comparison, "method", lambda name: spy)
    with pytest.raises(TrainingError):
        contend("plain_sft", config_of(tiny_folder), tmp_path / "x")
    (task,) = seen
    assert len(task.facts) == 2 and {q.split for fact in task.facts for q in fact.questions} == {"train", "probe"}
    assert all(len(fact.questions) > len(without_tests(fact).questions) for fact in load_frozen("v1", 2).taught)


def test_self_edits_stand_after_their_facts(tiny_folder: Path, tmp_path: Path) -> None:
    from pipeline.language.models import load_model

    config = config_of(tiny_folder)
    facts = tuple(map(without_tests, load_frozen("v1", 2).taught))
    lm: LanguageModel = load_model(config.model)
    texts, written = edited(Task("self_edits", config, facts, (), tmp_path, Silent()), lm)
    assert texts[:2] == [fact.text for fact in facts] and 0 < written <= 2 * 2 * 5
    assert all(text.startswith(tuple(fact.text + "\n" for fact in facts)) for text in texts[2:])


def scripted(name: str, em: float, kl: float) -> dict[str, Any]:
    return {
        "held_out": {"em": em, "em_ci95": [em - 0.05, em + 0.05], "worst_form_em": em},
        "untaught": {"em": 0.0}, "near_miss": {"em": 0.1}, "takeover": 0.0,
        "sanity": {"delta": 0.0, "kept": None}, "drift": {"kl_base": kl, "ppl_ratio": 1.0},
        "training_tokens": 0 if name == "rag" else 1000, "written_tokens": None, "seconds": 1.0,
        "peak_bytes": 2**30, "memory_on": name == "rag",
    }  # fmt: skip


def test_a_finished_method_is_not_computed_again_and_a_failed_one_is(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, artifact_root: Path
) -> None:
    called: list[str] = []

    def learned(function: Any, name: str, *others: Any) -> tuple[dict[str, Any], int]:
        called.append(name)
        if name == "full" and called.count("full") == 1:
            raise TrainingError("out of luck")
        return scripted(name, 0.5, 0.01), 0

    monkeypatch.setattr(comparison, "in_own_process", learned)
    asked = [f"model.name={tiny_folder}", "model.device=cpu", "facts=2"]
    first = compare([*asked, 'methods=["ours","full"]'])
    assert "out of luck" in str(first["full"]) and list(first["methods"]) == ["ours"]  # type: ignore[arg-type]
    second = compare([*asked, 'methods=["ours","full","rag"]'])
    assert called == ["ours", "full", "full", "rag"] and list(second["methods"]) == ["ours", "full", "rag"]  # type: ignore[arg-type]
    compare([*asked, 'methods=["ours","full"]', "recipes.full.learning_rate=0.5"])
    compare([*asked, 'methods=["ours"]', "passes=3"])
    assert called[4:] == ["full", "ours"]
    folder = artifact_root / "benchmarks" / "methods"
    assert {"methods.json", "methods.png", "methods.svg"} <= {path.name for path in folder.iterdir()}


def test_an_unknown_method_is_refused_before_anything_runs(tiny_folder: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'plain_sft'"):
        compare([f"model.name={tiny_folder}", 'methods=["plainsft"]'])
    with pytest.raises(ConfigError, match="unknown method 'sgd'"):
        compare([f"model.name={tiny_folder}", "recipes.sgd.learning_rate=0.1"])
    assert method("rag") and result_key("rag", config_of(tiny_folder)) != result_key("full", config_of(tiny_folder))


def test_the_front_holds_what_nothing_beats() -> None:
    points = {"far": (0.5, 0.9), "near": (0.01, 0.9), "still": (0.0, 0.2), "worse": (0.02, 0.5), "twin": (0.01, 0.9)}
    assert pareto_front(points) == ["still", "near", "twin"]


def test_the_plot_is_the_same_bytes_for_the_same_figures() -> None:
    found = {"ours": scripted("ours", 0.9, 0.01), "rag": scripted("rag", 0.8, 0.0)}
    for form, start in ((png, b"\x89PNG"), (svg, b"<?xml")):
        one, other = (form(pareto_plot(found)) for _ in range(2))
        assert one == other and one.startswith(start)


def test_a_student_that_is_its_own_teacher_has_nothing_to_follow(tiny_folder: Path) -> None:
    pytest.importorskip("trl")
    from pipeline.bench.methods.sdft import divergence
    from pipeline.language.adapter import attach
    from pipeline.language.models import load_model

    lm = load_model(ModelConfig(name=str(tiny_folder), device="cpu"))
    adapted = attach(lm, LORA, 1)
    prompts, targets = ["Where is she?", "Who was it, and when?"], [[7, 9, 2], [11]]
    same, seen = divergence(lm, adapted, prompts, prompts, targets)
    assert float(same.detach()) == pytest.approx(0.0, abs=1e-6)
    assert seen == sum(len(lm.tokenizer(p)["input_ids"]) for p in prompts) + 4
    other, _ = divergence(lm, adapted, prompts, ["It is here. Where is she?", "Nobody."], targets)
    p, q = (
        torch.log_softmax(
            lm.model(torch.tensor([lm.tokenizer(text)["input_ids"] + [11]])).logits[0, -2].detach().float(), -1
        )
        for text in (prompts[1], "Nobody.")
    )
    alone, _ = divergence(lm, adapted, prompts[1:], ["Nobody."], targets[1:])
    assert (
        float(alone.detach()) == pytest.approx(float((p.exp() * (p - q)).sum()), rel=1e-3) and float(other.detach()) > 0
    )
