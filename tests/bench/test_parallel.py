"""One process against several: what is timed, what is compared, and the whole of it on the tiny model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.bench import parallel as bench
from pipeline.bench.parallel import SharedWords, Training, difference_row, night_of, training_row
from pipeline.config import config_root, load_section
from pipeline.config.benchmarks import ParallelBenchConfig
from pipeline.errors import ConfigError
from tests.language.examples import facts
from tests.language.tiny import tiny_model, tiny_tokenizer
from tests.stages.test_sleep import steps

SETTINGS = (
    "model.device=cpu", "model.dtype=float32", "facts=2", "warm_up=1",
    "distil.memory_forms=1", "distil.short=3", "distil.long=2", "distil.dreams=2", "distil.short_tokens=3",
    "distil.long_tokens=3", "lora.rank=2", "lora.first_layer=2", "lora.batch_size=6", "lora.forms_per_epoch=3",
    "lora.epochs=3", "lora.learning_rate=0.01", "lora.anchor_weight=0.1",
)  # fmt: skip


def training(seconds: float, *values: float) -> Training:
    weights = {"q.lora_A": torch.tensor([0.5, 0.5]), "q.lora_B": torch.tensor(values)}
    times = [10.0 + seconds * step for step in range(5)]
    return Training(steps(3.0, 2.0, 2.0, 1.0, 0.5), times, times[-1] + 1, weights)


def test_steps_are_timed_after_the_warm_up() -> None:
    one, two = training(0.5, 3.0, 4.0), training(0.25, 3.0, 4.0)
    assert training_row(one, one, 2)["steps/s"] == 2.0 and training_row(one, one, 2)["ratio of steps/s"] == 1.0
    row = training_row(two, one, 2)
    assert (row["step (ms)"], row["ratio of steps/s"], row["before step 1 ends (s)"]) == (250.0, 2.0, 10.0)
    assert row["ratio of stages"] == 13 / 12


def test_weights_are_compared_by_their_largest_gap_and_by_what_was_learned() -> None:
    one, two = training(1.0, 3.0, 4.0), training(1.0, 3.0, 4.5)
    two = replace(two, steps=steps(3.0, 2.0, 2.0, 1.0, 0.25))
    row = difference_row(one, two)
    assert row["largest difference of a weight"] == 0.5 and row["largest weight"] == 4.0
    assert row["difference of B (share of its norm)"] == 0.1
    assert row["last loss of 1 process"] == 0.5 and row["difference of the last loss"] == -0.25
    assert difference_row(one, one)["difference of B (share of its norm)"] == 0.0


def test_the_night_has_the_settings_of_the_benchmark() -> None:
    file = config_root() / "benchmarks" / "parallel.yaml"
    config = load_section(ParallelBenchConfig, file, ("lora.rank=3", "distil.short=5", "seed=7"))
    night = night_of(config, 4)
    assert (night.lora.processes, night.lora.rank, night.distil.short, night.seed) == (4, 3, 5, 7)
    assert night.lora.batch_size == 64


def test_a_question_is_told_the_fact_with_its_words() -> None:
    memory = SharedWords(facts())
    found = memory.retrieve(["Name: Otto Lund. Place?", "Do tell: where did VERA FALK shop?"], 2)
    assert [some[0].episode_id for some in found] == ["f1", "f2"] and len(found[0]) == 2
    assert memory.requests == memory.hits == 2


@pytest.mark.slow
def test_two_processes_are_compared_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    tiny_model().save_pretrained(tmp_path / "tiny")
    tiny_tokenizer().save_pretrained(tmp_path / "tiny")
    found = bench.parallel((*SETTINGS, f"model.name={tmp_path / 'tiny'}"))
    json.dumps(found)
    rows, against = found["training"], found["against 1 process"]
    assert isinstance(rows, dict) and isinstance(against, dict)
    assert list(rows) == ["1 process", "2 processes"] and list(against) == ["2 processes"]
    assert found["steps"] == 3 and float(str(found["rows a step"])) > 6 and rows["2 processes"]["steps/s"] > 0
    assert against["2 processes"]["difference of B (share of its norm)"] < 1e-3
    assert abs(against["2 processes"]["difference of the last loss"]) < 1e-3


def test_a_warm_up_of_all_steps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "in_own_process", lambda *_: ((1, "CPU"), 0))
    monkeypatch.setattr(bench, "trained", lambda *_: training(1.0, 1.0))
    with pytest.raises(ConfigError, match="warm_up=5 of 5 steps leaves none to time"):
        bench.parallel(("warm_up=5", "model.device=cpu"))
