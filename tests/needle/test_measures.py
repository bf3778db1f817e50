"""Accuracy by length where sequences of one split differ in it."""

from __future__ import annotations

import torch

from pipeline.needle.evaluation import Evaluation
from pipeline.needle.measures import by_tokens


def test_every_quarter_of_the_sequences_has_its_accuracy() -> None:
    used = torch.tensor([10, 3, 7, 30, 20, 5, 40, 12])
    wrong = torch.tensor([0, 0, 1, 1, 1, 0, 1, 0])
    asked = {"example": torch.arange(8), "pred": wrong, "target": torch.zeros(8, dtype=torch.int64)}
    told = by_tokens(Evaluation(questions=asked), used)
    assert list(told) == [7, 12, 30, 40]  # 3 5 7, 10 12, 20 30, 40
    assert told[7] == torch.tensor(2 / 3).item() and told[12] == 1 and told[30] == told[40] == 0


def test_sequences_of_one_length_are_one_group() -> None:
    asked = {"example": torch.tensor([0, 0, 1]), "pred": torch.tensor([1, 0, 1]), "target": torch.tensor([1, 1, 1])}
    assert by_tokens(Evaluation(questions=asked), torch.tensor([9, 9])) == {9: torch.tensor(2 / 3).item()}
