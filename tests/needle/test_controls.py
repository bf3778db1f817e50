"""Controls: each would notice what it is there to notice; the memory alone against theory."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.config import NeedleConfig, load_config
from pipeline.needle import controls
from pipeline.needle.building import made, new_model
from pipeline.needle.capacity import capacity
from pipeline.needle.controls import (
    ABOUT,
    CHEAP,
    COSTLY,
    Trained,
    batch_invariance,
    control_epochs,
    controls_of,
    label_shuffle,
    without_infonce,
)
from pipeline.needle.course import Course
from pipeline.needle.examples import TensorExamples
from pipeline.needle.model import NeedleModel
from tests.needle.settings import tiny_config


def trained(**changes: Any) -> Trained:
    config = tiny_config(data__val_size=50, **changes)
    splits = [made(config.data, config.seed, split) for split in ("train", "val", "test")]  # type: ignore[arg-type]
    return Trained(config, new_model(config, "cpu"), "cpu", splits[0], splits[1], splits[2])


def test_shuffled_labels_change_no_answer() -> None:
    told = label_shuffle(trained())
    assert told["changed_answers"] == 0 and told["largest_change"] == 0 and told["accuracy"] < 0.5


def test_an_evaluation_that_writes_true_values_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = controls.evaluate

    def leaking(model: NeedleModel, examples: TensorExamples, *rest: Any) -> Any:
        found = honest(model, examples, *rest)
        found.questions["pred"] = examples.batch.target.flatten()
        return found

    monkeypatch.setattr(controls, "evaluate", leaking)
    told = label_shuffle(trained())
    assert told["accuracy"] == 1 and told["changed_answers"] > 0.5


def test_a_model_that_looks_at_other_sequences_of_its_batch_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert batch_invariance(trained())["largest_change"] < 1e-4
    answer = NeedleModel.answer

    def mixed(self: NeedleModel, encoded: Any, alter: Any = None, predicted: Any = None) -> Any:
        return answer(self, encoded, lambda raw: raw + raw.mean(0, keepdim=True), predicted)

    monkeypatch.setattr(NeedleModel, "answer", mixed)
    assert batch_invariance(trained())["largest_change"] > 1e-3


def test_every_control_gives_an_accuracy() -> None:
    case = trained()
    for name, control in (CHEAP | COSTLY).items():
        assert 0 <= control(case)["accuracy"] <= 1, name
    assert list(ABOUT) == [*CHEAP, *COSTLY]


def test_a_task_without_pairs_has_no_infonce_to_leave_out() -> None:
    listops, needle = load_config("needle/listops"), load_config("needle/len256")
    assert isinstance(listops, NeedleConfig) and isinstance(needle, NeedleConfig)
    assert set(controls_of(needle)) - set(controls_of(listops)) == {"no_infonce"}
    training = trained().training
    assert control_epochs(tiny_config(), training) == 4 + 1 + 1
    assert control_epochs(tiny_config(evaluation__controls="default"), training) == 0


def test_without_infonce_there_is_neither_lambda_nor_the_key_term() -> None:
    case = trained()
    course = Course(without_infonce(case.config), "cpu", case.training, case.validation)
    while not course.over:
        course.epoch()
    assert {decision.nce_lambda for decision in course.decisions} == {0.0}
    assert any(decision.gate == "open" for decision in course.decisions) and course.config.loss.key_nce == 0


@pytest.mark.parametrize(("pairs", "least", "most"), [(1, 0.99, 1), (8, 0.9, 1), (64, 0.05, 0.5)])
def test_the_memory_alone_follows_theory(pairs: int, least: float, most: float) -> None:
    told = capacity(256, 64, pairs, trials=50, seed=1)
    assert told["theory"] == pytest.approx(pairs**-0.5) and told["read_cosine"] == pytest.approx(pairs**-0.5, rel=0.05)
    assert least <= told["accuracy"] <= most
    assert told == capacity(256, 64, pairs, trials=50, seed=1)
