"""Pre-training: losses fall, the mixture holds what it says, keys of other parts are never seen."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from pipeline.config.sleepwake import PretrainConfig, StreamConfig
from pipeline.sleepwake.arithmetic import problems
from pipeline.sleepwake.facts import part_of
from pipeline.sleepwake.pretraining import nats, plain_rows, pretrain, stream_recall
from pipeline.sleepwake.streams import Streams, recall_streams
from tests.sleepwake.tiny import sleepwake_model, text

SHAPE = StreamConfig(length=96, facts=2, asked=2)


def settings(**changes: Any) -> PretrainConfig:
    known: dict[str, Any] = {
        "steps": 30, "batch": 2, "text_length": 32, "streams": 1, "stream": SHAPE, "arithmetic_problems": 20,
        "lr": 0.01, "warmup": 2,
    }  # fmt: skip
    return PretrainConfig(**(known | changes))


def test_losses_fall_and_validation_text_is_learned() -> None:
    model = sleepwake_model()
    before = nats(model, text(seed=1))
    rows = pretrain(model, text(), settings(), 0)
    assert len(rows) == 30 and {"loss", "loss.text", "loss.answers"} == set(rows[0])
    assert rows[-1]["loss.text"] < rows[0]["loss.text"] and nats(model, text(seed=1)) < before - 1


def test_rows_hold_text_sums_and_facts_of_the_training_part() -> None:
    known = problems(0, "basic", "train", 20)
    rows = plain_rows(text(), settings(arithmetic_rows=2, fact_rows=3), known, np.random.default_rng(0))
    lines = [bytes(row).decode() for row in rows.tolist()]
    assert rows.shape == (7, 32) and "=" not in "".join(lines[:2])
    assert all(re.match(r"-?\d+[-+*/]\d+=", line) for line in lines[2:4])
    assert {part_of(line[1:7]) for line in lines[4:]} == {"train"}


def test_a_model_of_the_window_alone_is_trained_without_its_memory() -> None:
    model, fresh = sleepwake_model(), sleepwake_model()
    pretrain(model, text(), settings(steps=2, weight_decay=0.0), 0, memory=False)
    moved = [name for (name, new), old in zip(model.named_parameters(), fresh.parameters(), strict=True)
             if not new.equal(old)]  # fmt: skip
    assert moved and not any(name.startswith("memory.") for name in moved)


def test_facts_are_scattered_for_good_once_answers_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    places = list[str]()

    def drawn(*given: Any) -> Streams:
        places.append(given[-1])
        return recall_streams(*given)

    monkeypatch.setattr("pipeline.sleepwake.pretraining.recall_streams", drawn)
    for below, expected in ((0.0, {"near"}), (5.0, {"near", "scattered"})):
        places.clear()
        rows = pretrain(sleepwake_model(), text(), settings(scattered_below=below), 0)
        assert set(places) == expected and places == sorted(places)
    assert rows[0]["loss.answers"] > 5.0 > rows[-1]["loss.answers"]


def test_recall_counts_whole_answers() -> None:
    drawn = recall_streams(np.random.default_rng(0), text(), "validation", SHAPE, 3)
    assert stream_recall(sleepwake_model(), drawn, memory=True) == 0.0
