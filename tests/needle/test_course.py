"""A training under the gate: what is saved, and what stops it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from pipeline.config.needle import NeedleConfig
from pipeline.needle.building import made
from pipeline.needle.course import Course, load_model, save_model, steps_to
from pipeline.needle.evaluation import accuracy, probe
from pipeline.needle.guards import AT_MOST, verdicts
from pipeline.report.figures import AT_MOST as SHOWN_AT_MOST
from tests.needle.settings import tiny_config


def course(config: NeedleConfig) -> Course:
    return Course(config, "cpu", made(config.data, config.seed, "train"), made(config.data, config.seed, "val"))


def test_a_saved_course_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    config = tiny_config(nce__write_strength_schedule__mult_after_open=1.15, nce__post_gate_write_cooldown_batches=1)
    one = course(config)
    for _ in range(3):
        one.epoch()
    one.save(tmp_path / "a.safetensors")
    two = course(config)
    two.load(tmp_path / "a.safetensors")
    assert two.decisions == one.decisions and two.drops == one.drops and len(one.drops) == 2
    for each in (one, two):
        each.epoch()
        each.save(tmp_path / f"{id(each)}.safetensors")
    assert one.over and two.over and one.rows == two.rows and one.summary() == two.summary()
    weights = [each.model.state_dict() for each in (one, two)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_model_that_is_read_again_answers_as_it_did(tmp_path: Path) -> None:
    config = tiny_config(nce__write_strength_schedule__mult_after_open=1.5)
    trained = course(config)
    while not trained.over:
        trained.epoch()
    save_model(trained.model, tmp_path / "model.safetensors")
    again, test = load_model(config, tmp_path / "model.safetensors", "cpu"), made(config.data, config.seed, "test")
    assert again.memory.strength_factor == trained.model.memory.strength_factor > 1
    assert torch.equal(accuracy(again, test, 60), accuracy(trained.model, test, 60))
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["write_strength_factor"]) > 1


def test_a_drop_behind_the_opening_stops_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    correct = iter([1800, 1500, 1500, 1500])  # of 2,000; the gate opens in the second epoch

    def right(evaluation: Any) -> torch.Tensor:
        return torch.from_numpy(np.arange(2000) < next(correct))

    monkeypatch.setattr("pipeline.needle.course.right", right)
    trained = course(tiny_config(alarms__drop_patience=2))
    while not trained.over:
        trained.epoch()
    assert len(trained.rows) == 3 and "2 times in a row" in trained.stopped
    told = trained.summary()
    assert told["significant_drops"] == 2 and told["drop"]["difference"] == pytest.approx(-0.15)
    assert told["drop_epochs"] == [2, 3] and "drop.difference" not in trained.rows[0]
    assert trained.rows[1]["drop.difference"] == pytest.approx(-0.15) and trained.rows[1]["drop.significant"] == 1
    assert told["open_fraction"] == 2 / 4  # of the epochs that are configured


def test_the_epoch_before_the_opening_is_what_drops_are_measured_from(monkeypatch: pytest.MonkeyPatch) -> None:
    correct = iter([1900, 1000, 1000, 1000])

    def right(evaluation: Any) -> torch.Tensor:
        return torch.from_numpy(np.arange(2000) < next(correct))

    monkeypatch.setattr("pipeline.needle.course.right", right)
    trained = course(tiny_config(nce__nce_gate_start_epoch=3, nce__nce_force_open_epoch=3))
    while not trained.over:
        trained.epoch()
    assert len(trained.drops) == 2 and trained.drops[0].before == 0.5 and not trained.stopped


def test_a_trip_wire_stops_the_training() -> None:
    trained = course(tiny_config(alarms__tripwire_val_acc_min=1.0))
    while not trained.over:
        trained.epoch()
    assert len(trained.rows) == 2 and "accuracy" in trained.stopped and trained.summary()["epochs"] == 2


def test_probes_change_nothing_that_is_learned_and_outlive_a_cut(tmp_path: Path) -> None:
    settings = {"train__steps_per_epoch": 3, "train__epochs": 3, "train__probe_size": 32}
    probed, plain = (course(tiny_config(**settings, train__probe_every=every)) for every in (2, None))
    for each in (probed, plain):
        each.epoch()
    probed.save(tmp_path / "a.safetensors")
    resumed = course(probed.config)
    resumed.load(tmp_path / "a.safetensors")
    seen: list[dict[str, float]] = []
    for each in (probed, plain, resumed):
        while not each.over:
            each.epoch(seen.append if each is probed else None)
    assert [row["step"] for row in probed.probes] == [2, 4, 8] and resumed.probes == probed.probes  # 6 ends an epoch
    assert plain.probes == [] and probed.rows == plain.rows == resumed.rows and probed.decisions == plain.decisions
    weights = [each.model.state_dict() for each in (probed, plain)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert [figures.get("val.probe_acc") for figures in seen] == [
        next((row["val.acc"] for row in probed.probes if row["step"] == step), None) for step in range(4, 10)
    ]


def test_probes_end_where_the_model_has_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    shares, sizes = iter([0.5, 0.9, 1.0]), list[int]()

    def probe(model: Any, examples: Any, batch_size: int) -> float:
        sizes.append(len(examples))
        return next(shares)

    monkeypatch.setattr("pipeline.needle.course.probe", probe)
    settings = {"train__steps_per_epoch": 4, "train__probe_every": 1, "train__probe_size": 7}
    trained = course(tiny_config(**settings))
    while not trained.over:
        trained.epoch()
    assert trained.summary()["steps_to_90"] == 2 and sizes == [7, 7]


def test_an_epoch_that_got_there_ends_probes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.needle.course.probe", lambda *rest: 0.2)
    trained = course(tiny_config(train__steps_per_epoch=4, train__probe_every=2))
    trained.epoch()
    trained.rows[-1]["val.acc"] = 0.95
    trained.epoch()
    assert [row["step"] for row in trained.probes] == [2] and trained.summary()["steps_to_90"] == 4


def test_a_probe_is_the_accuracy_of_its_sequences() -> None:
    trained = course(tiny_config())
    trained.epoch()
    some = trained.validation.first(500)
    whole = float(accuracy(trained.model, some, 100).float().mean())
    assert probe(trained.model, some, 100) == pytest.approx(whole, abs=0.01) and trained.model.training
    assert trained.model.core.training and not trained.model.eval().core.training


def test_steps_are_those_of_the_first_evaluation_that_got_there() -> None:
    rows = [{"step": 10.0, "val.acc": 0.5}, {"step": 20.0, "val.acc": 0.91}, {"step": 30.0, "val.acc": 0.89}]
    assert steps_to(rows, 0.9) == 20 and steps_to(rows, 0.95) is None
    assert steps_to([*rows, {"step": 15.0, "val.acc": 0.92}, {"step": 12.0, "val.acc": 0.9}], 0.9) == 12


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("accuracy", 0.95, 0.9499),
        ("cosine.write", 0.75, None),
        ("cosine.read_clean", 0.9, 0.89),
        ("collisions", 0.3, 0.31),
        ("gate.open_fraction", 0.2, 0.19),
        ("gate.open_fraction_most", 0.4, 0.41),
        ("gate.lambda_max", 0.02, 0.021),
        ("significant_drops", 0, 1),
    ],
)
def test_every_guard_passes_on_its_threshold_and_fails_beyond_it(name: str, good: float, bad: float | None) -> None:
    figure = name.removesuffix("_most")
    config = tiny_config().guards
    for value, passed in ((good, True), (bad, False)):
        found = {verdict["name"]: verdict for verdict in verdicts({figure: value}, config)}
        assert found[name]["passed"] is passed and len(found) == 8
    assert SHOWN_AT_MOST["needle"] == AT_MOST


def test_a_guard_without_a_threshold_is_not_judged() -> None:
    config = tiny_config().guards.model_copy(update={"accuracy_min": None})
    assert "accuracy" not in {verdict["name"] for verdict in verdicts({"accuracy": 0.0}, config)}
    assert not math.isnan(verdicts({}, config)[0]["threshold"])
