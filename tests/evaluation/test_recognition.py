"""Taught answers beside untaught ones, by likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.evaluation.arms import Ask
from pipeline.evaluation.recognition import compared, recognition_figures, wins
from pipeline.suites.types import Question


def question(item: str, form: str, answer: str = "harbour") -> Question:
    return Question(item, "r", form, "test", "?", answer)


def test_one_question_of_every_fact_is_compared() -> None:
    asks = [
        Ask("post_off_heldout", question("a", "test-2")),
        Ask("post_off_heldout", question("a", "test-1")),
        Ask("post_off", question("c", "train-1")),
        Ask("untaught", question("u", "test-1")),
        Ask("untaught", question("v", "test-1", "")),
        Ask("untaught_pre", question("w", "test-1")),
    ]
    taught, untaught = compared(asks)
    assert [(q.item_id, q.form) for q in taught] == [("a", "test-2")] and [q.item_id for q in untaught] == ["u"]


@pytest.mark.parametrize("seed", range(4))
def test_the_area_is_that_of_the_roc_curve(seed: int) -> None:
    generator = np.random.default_rng(seed)
    own, others = np.round(generator.normal(0.7, 1, 30), 1), np.round(generator.normal(0, 1, 45), 1)
    labels = np.array([1] * 30 + [0] * 45)
    assert wins(own, others).mean() == pytest.approx(roc_auc_score(labels, np.concatenate([own, others])))


def test_figures_of_what_stands_out_and_of_what_does_not() -> None:
    low, high = np.linspace(-3, -2, 20), np.linspace(-1, 0, 25)
    found = recognition_figures({"pre": (low, low), "post": (high, low)}, 200)
    assert found == {"auroc": 1.0, "ci95": [1.0, 1.0], "prior": 0.5, "n": 25, "untaught_n": 20}
    mixed = np.array([-3.0, -1.0] * 10)
    unsure = recognition_figures({"pre": (low, low), "post": (mixed, mixed)}, 500)
    assert unsure is not None and unsure["auroc"] == 0.5
    assert unsure["ci95"][0] < 0.45 and unsure["ci95"][1] > 0.55
    assert recognition_figures({"pre": (low, low[:0]), "post": (high, low[:0])}) is None
