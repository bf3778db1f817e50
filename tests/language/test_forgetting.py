"""Rows about what is to be forgotten carry the base's own say, and training brings an adapted model back to it."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from pipeline.config.language import DistilConfig, LoraConfig
from pipeline.language.adapter import attach
from pipeline.language.encoding import encode, run_lower
from pipeline.language.forgetting import extend, forget_rows, likelihoods
from pipeline.language.likelihood import answer_log_probs
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import closed_book_prompt
from pipeline.language.rows import TrainingRow
from pipeline.language.teacher import top_log_probs
from pipeline.language.training import Trainer
from pipeline.suites.rehearsal import load_rehearsal
from pipeline.suites.types import Fact, Question
from tests.language.tiny import tiny_language_model

CONFIG = LoraConfig(
    first_layer=2, rank=4, alpha=8, epochs=60, forms_per_epoch=4, batch_size=4, learning_rate=0.02, stop_at=0.0,
    patience=99, anchor_weight=0.0, curvature_weight=0.0, unlikelihood=0.0, forget_ratio=1.0,
)  # fmt: skip


def fact(name: str, answer: str) -> Fact:
    forms = ("What did {} buy?", "Which thing has {}?", "What is it that {} took?")
    asked = tuple(Question(name, "fact", f"train-{i}", "train", f.format(name), answer) for i, f in enumerate(forms))
    probe = Question(name, "fact", "probe-1", "probe", f"{name} came home with what?", answer)
    test = Question(name, "fact", "test-1", "test", f"Name the thing of {name}.", answer)
    return Fact(name, f"{name} bought a {answer}.", subject=name, questions=(*asked, probe, test))


GONE, STAYS = fact("Mona", "lantern"), fact("Olaf", "kettle")
BANK = load_rehearsal()


def test_rows_ask_train_forms_alone_and_hold_the_base_s_distribution() -> None:
    lm = tiny_language_model()
    rows = forget_rows(lm, [GONE], BANK, DistilConfig(forget_forms=7, short_tokens=4, top_k=5), seed=1)
    assert len(rows) == 14 and {(row.kind, row.episode_id, row.split) for row in rows} == {("forget", "Mona", "train")}
    assert not any("came home" in row.prompt or "Name the thing" in row.prompt for row in rows)
    assert len({row.prompt for row in rows}) == 7  # asides and system prompts are forms of their own
    answers = [row for row in rows if row.row_id.endswith("answer")]
    assert len(answers) == 7 and all(row.target == "lantern" + lm.tokenizer.eos_token for row in answers)
    bare = [replace(row, top_ids=(), top_log_probs=()) for row in rows]
    for row, again in zip(rows, top_log_probs(lm, bare, 5), strict=True):
        assert row.top_ids == again.top_ids
        assert np.allclose(row.top_log_probs, again.top_log_probs)


def learned(lm: LanguageModel, facts: tuple[Fact, ...]) -> list[TrainingRow]:
    end = lm.tokenizer.eos_token
    rows = []
    for question in (q for told in facts for q in told.asked("train")):
        item, prompt = question.item_id, closed_book_prompt(lm.tokenizer, question)
        name = f"{item}/{question.form}"
        rows.append(TrainingRow(name, "question", item, question.form, "train", prompt, question.answer + end))
    return rows


def night(lm: LanguageModel, rows: list[TrainingRow], forget: list[TrainingRow]) -> None:
    encoded = encode(lm, rows, CONFIG.first_layer)
    run_lower(lm, encoded)
    extend(lm, encoded, forget)
    trainer = Trainer(lm, encoded, CONFIG, 3)
    kinds = {row.row.kind for step in trainer.curriculum.epoch(0, copy.deepcopy(trainer.standing)) for row in step}
    assert kinds == {"question"} | ({"forget"} if forget else set())
    trainer.run()


def log_prob(lm: LanguageModel, of: Fact) -> float:
    prompts = [closed_book_prompt(lm.tokenizer, question) for question in of.asked("train")]
    return float(answer_log_probs(lm, prompts, [q.answer for q in of.asked("train")]).mean())


def test_unlearning_brings_the_answer_back_to_the_base_and_leaves_its_neighbour() -> None:
    base = tiny_language_model()
    forget = forget_rows(base, [GONE], BANK, DistilConfig(forget_forms=9, short_tokens=4), seed=1)
    lm = tiny_language_model()
    attach(lm, CONFIG, seed=3)
    night(lm, learned(lm, (GONE, STAYS)), [])
    assert log_prob(lm, GONE) > -0.8 and log_prob(base, GONE) < -6
    stood_out = likelihoods(base, lm, [GONE], BANK.slots, 1)
    night(lm, learned(lm, (STAYS,)), forget)
    assert log_prob(lm, GONE) == pytest.approx(log_prob(base, GONE), abs=2.0)
    assert log_prob(lm, STAYS) > -0.8
    after = likelihoods(base, lm, [GONE], BANK.slots, 1)
    assert after["auroc_prior"] <= after["auroc"] < stood_out["auroc"] == 1.0
