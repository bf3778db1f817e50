"""Soft targets: the base's own most likely tokens, and the memory-ON teacher where it is right."""

from __future__ import annotations

import pytest
import torch

from pipeline.language import teacher
from pipeline.language.models import LanguageModel
from pipeline.language.rows import TrainingRow
from pipeline.language.teacher import FLOOR, distil_with_memory, top_log_probs, with_targets
from tests.language.examples import facts, mixed_rows, plain_logits, question_rows, tokens_of


@pytest.mark.parametrize("k", [1, 7])
def test_top_log_probs_are_those_of_a_plain_forward_pass(tiny: LanguageModel, k: int) -> None:
    told: list[int] = []
    rows = mixed_rows(tiny)
    found = top_log_probs(tiny, rows, k, told.append)
    assert sum(told) == len(rows)
    for row, soft in zip(rows, found, strict=True):
        best = torch.log_softmax(plain_logits(tiny, row), -1).topk(k)
        assert soft == with_targets(row, best.indices.tolist(), [list(v) for v in soft.top_log_probs])
        torch.testing.assert_close(torch.tensor(soft.top_log_probs), best.values, atol=1e-3, rtol=1e-3)


class Scripted:
    """A teacher whose greedy answer is right for chosen rows only."""

    def __init__(self, right: set[str], k: int) -> None:
        self.right, self.k = right, k
        self.opened: list[TrainingRow] = []

    def __call__(self, lm: LanguageModel, rows: list[TrainingRow], k: int) -> list[TrainingRow]:
        self.opened += rows
        found = []
        for row in rows:
            gold = tokens_of(lm, row.target)
            first = [token if row.row_id in self.right else token + 1 for token in gold]
            ids = [[token, *range(300, 299 + self.k)] for token in first]
            found.append(with_targets(row, ids, [[-0.1, *[-3.0] * (self.k - 1)] for _ in gold]))
        return found


def distilled(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch, right: set[str], k: int = 4
) -> tuple[list[TrainingRow], Scripted]:
    script = Scripted(right, k)
    monkeypatch.setattr(teacher, "top_log_probs", script)
    rows = [row for row in question_rows(lm) if row.split == "train"]
    asked = {row.row_id: f"Asked {row.row_id}?" for row in rows}
    texts = {row.row_id: facts(3)[int(row.episode_id[1])].text for row in rows}
    return distil_with_memory(lm, rows, asked, texts, k), script


def test_only_a_right_teacher_teaches(tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    right = {"f0/person_place/train-0", "f1/person_place/train-2"}
    rows, script = distilled(tiny, monkeypatch, right)
    assert all(row.teacher_asked for row in rows)
    assert {row.row_id for row in rows if row.teacher_right} == right
    assert not any(row.top_ids for row in rows if not row.teacher_right)
    for row, opened in zip(rows, script.opened, strict=True):
        fact = facts(3)[int(row.episode_id[1])]
        assert opened.prompt.endswith(f"Fact: {fact.text}\nQ: Asked {row.row_id}?\nA:")
        assert opened.target == f" {row.target.removesuffix('<|im_end|>')}\n"


def test_its_belief_is_spelt_as_the_closed_book_answer(tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """ " harbour" and "harbour" may begin with different tokens; where their number differs nothing is carried over."""
    every = {row.row_id for row in question_rows(tiny)}
    rows, _ = distilled(tiny, monkeypatch, every)
    carried = 0
    for row in rows:
        own = tokens_of(tiny, row.target)
        same_length = len(tokens_of(tiny, f" {row.target.removesuffix('<|im_end|>')}\n")) == len(own)
        assert bool(row.top_ids) == same_length and row.teacher_right
        if not row.top_ids:
            continue
        carried += 1
        assert [ids[0] for ids in row.top_ids] == own
        assert all(
            len(ids) == len(set(ids)) == len(values) == 4
            for ids, values in zip(row.top_ids, row.top_log_probs, strict=True)
        )
        assert all(values == pytest.approx([-0.1, -3, -3, -3]) for values in row.top_log_probs[:-1])
        assert row.top_log_probs[-1] == (0.0, FLOOR, FLOOR, FLOOR)  # the end of the turn is certain
    assert carried


def test_one_teacher_token_is_enough(tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = distilled(tiny, monkeypatch, {row.row_id for row in question_rows(tiny)}, k=1)
    assert all(len(ids) == 1 for row in rows for ids in row.top_ids)
