"""The three programs of a sleep on a decoder of four tiny layers: same adapter, same rows, same course."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from pipeline.bench.course import Course, Stopwatch
from pipeline.bench.programs import PROGRAMS
from pipeline.bench.sleep import product_rate, quality_table, work_table
from pipeline.config import LoraConfig
from pipeline.config.benchmarks import SleepBenchConfig
from pipeline.language.adapter import trainable
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import closed_book_prompt
from pipeline.language.rows import TrainingRow
from pipeline.suites.types import Question
from tests.language.tiny import tiny_language_model

CONFIG = SleepBenchConfig(
    facts=4, evaluate_every=2, quality=1.0, max_new_tokens=2, questions=2,
    lora=LoraConfig(
        rank=4, alpha=8, start="random", first_layer=2, margin=0.0, evenness=1e9, forms_per_epoch=1, batch_size=4,
        epochs=5, learning_rate=0.02,
    ),
)  # fmt: skip


def rows(lm: LanguageModel) -> list[TrainingRow]:
    """One batch of four, so that every program takes the same steps whatever the order of rows."""
    asked = [Question(str(i), "r", "f", "train", f"Where is {name}?", "") for i, name in enumerate("abcd")]
    return [
        TrainingRow(f"{q.item_id}/f", "question", q.item_id, "f", "train", closed_book_prompt(lm.tokenizer, q), answer)
        for q, answer in zip(asked, ("here<|im_end|>", "up<|im_end|>", "at sea<|im_end|>", "in<|im_end|>"), strict=True)
    ]


def trained(name: str) -> tuple[Course, dict[str, torch.Tensor], int]:
    lm, pauses = tiny_language_model(), []
    course = PROGRAMS[name](lm, rows(lm), CONFIG, lambda: pauses.append(1))
    return course, {key: p.detach() for key, p in trainable(lm.model).items()}, len(pauses)


@pytest.mark.parametrize("peer", [name for name in PROGRAMS if name != "ours"])
def test_a_peer_ends_with_the_nights_own_adapter(peer: str) -> None:
    if peer == "TRL SFTTrainer":
        pytest.importorskip("trl")
    own, weights, pauses = trained("ours")
    other, theirs, others = trained(peer)
    assert weights.keys() == theirs.keys() and pauses == others == 2
    assert any("lora_B" in key and float(p.abs().max()) > 1e-3 for key, p in weights.items())
    for key, value in weights.items():
        torch.testing.assert_close(theirs[key], value, rtol=0.02, atol=2e-4)
    assert own.steps == other.steps == 4 and other.prepared == 0.0 < own.prepared
    assert 0 < own.products < other.products
    assert [steps for steps, _, _ in other.examinations] == [2, 4]


class Examiner:
    """Gives scripted marks."""

    def __init__(self, marks: Sequence[float]) -> None:
        self.marks = list(marks)

    def __call__(self) -> float:
        return self.marks.pop(0)


def test_a_stopwatch_ends_at_the_quality_and_counts_the_first_steps_products() -> None:
    watch = Stopwatch(Examiner([0.5, 1.0]), 2, 0.95, torch.device("cpu"), lambda: None)
    watch.begin(prepared=3.0)
    ended = []
    for _ in range(5):
        torch.ones(4, 5) @ torch.ones(5, 6)
        ended.append(watch.step())
    course = watch.course()
    assert ended == [False, False, False, False, True]
    assert course.products == 2 * 4 * 5 * 6 and course.steps == 4
    assert course.reached(0.95) == (4, 3.0 + course.seconds) and course.reached(0.4) == (2, course.examinations[0][1])


def test_the_tables_compare_time_to_quality_and_work() -> None:
    fast = Course(1.0, 9.0, 9, 10**9, ((9, 10.0, 1.0),), 0)
    slow = Course(0.0, 40.0, 9, 5 * 10**9, ((9, 40.0, 0.99),), 0)
    never = Course(0.0, 60.0, 18, 5 * 10**9, ((9, 30.0, 0.5), (18, 60.0, 0.8)), 2**31)
    found = {"ours": (fast, 2**30), "slow": (slow, 2**31), "never": (never, 2**31)}
    quality = quality_table(found, CONFIG.model_copy(update={"quality": 0.95}))
    assert quality["slow"]["ours is faster by"] == 4.0
    assert (quality["never"]["steps"], quality["never"]["ours is faster by"]) == ("> 18", "")
    work = work_table(found, tokens=200.0, limit=10**10)
    assert work["ours"]["tokens/s"] == 200.0 and work["ours"]["share of limit"] == 0.1
    assert [row["peak memory (GiB)"] for row in work.values()] == [1.0, 2.0, 2.0]


def test_the_machines_limit_is_finite_and_positive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.bench.sleep.PRODUCT", {"cpu": 64})
    assert 0 < product_rate(torch.device("cpu"), torch.float32) < math.inf
