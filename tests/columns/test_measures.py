"""Figures by hand: overlap, entropy, deltas, backward transfer, occupancy, differences, guards."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pipeline.columns.brain import newborn
from pipeline.columns.guards import verdicts
from pipeline.columns.measures import accuracy, mask_entropy, overlap, spiking, wrong
from pipeline.columns.summaries import backward_transfer, deltas, occupancy, shares
from pipeline.columns.tasks import Examples
from pipeline.config.columns import ColumnGuardsConfig
from tests.columns.test_sleep import CONFIG, examples

STAGES = {"after_a": {"a": 0.9}, "after_b": {"a": 0.8, "b": 1.0}, "after_sleep": {"a": 0.85, "b": 0.9}}


def test_overlap_counts_kept_new_and_common_errors() -> None:
    before = torch.tensor([True, True, False, False, False])
    after = torch.tensor([True, False, True, False, False])
    found = overlap(before, after)
    assert (found.kept, found.jaccard) == (0.5, 1 / 3) and found.agreement == pytest.approx(0.6)
    none = overlap(torch.zeros(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool))
    assert (none.kept, none.jaccard, none.agreement) == (None, None, 1.0)
    new = overlap(torch.zeros(2, dtype=torch.bool), torch.tensor([True, False]))
    assert (new.kept, new.jaccard) == (None, 0.0)


def test_the_entropy_of_an_even_mask_is_its_logarithm() -> None:
    assert mask_entropy(torch.full((4,), 0.25)) == pytest.approx(math.log(4))
    assert mask_entropy(torch.tensor([1.0, 0.0])) == pytest.approx(0)


def test_deltas_are_against_the_stage_before_and_the_best() -> None:
    found = deltas(STAGES)
    assert found["after_a"]["a"] == {"previous": None, "best": None} == found["after_b"]["b"]
    assert found["after_sleep"]["a"]["previous"] == pytest.approx(0.05)
    assert found["after_sleep"]["a"]["best"] == pytest.approx(-0.05)


def test_backward_transfer_starts_where_a_task_was_learned() -> None:
    assert backward_transfer(STAGES, "after_sleep") == pytest.approx((-0.05 - 0.1) / 2)


def test_occupancy_is_the_mean_mask_of_a_bank() -> None:
    masks = {"after_sleep": {"a": [1.0, 0.0, 0.0], "b": [0.5, 0.5, 0.0], "c": [0.0, 0.0, 1.0]}}
    used = occupancy(masks, {"a": "base", "b": "base", "c": "novel"}, {"base": [0, 1], "novel": [2]})
    assert used == {"after_sleep": {"base": [0.75, 0.25], "novel": [1.0]}}


def test_shares_are_of_right_answers_by_task() -> None:
    assert shares({"a": torch.tensor([True, True, True, False]), "b": torch.tensor([True, True])}) == {
        "a": 0.75,
        "b": 1.0,
    }


@pytest.mark.parametrize(
    ("figures", "failed"),
    [
        ({"accuracy": 0.95, "sleep_drop": 0.03, "wake_drop": 0.01}, []),
        ({"accuracy": 0.949, "sleep_drop": 0.0, "wake_drop": 0.0}, ["accuracy"]),
        ({"accuracy": 1.0, "sleep_drop": 0.031, "wake_drop": 0.011}, ["sleep_drop", "wake_drop"]),
    ],
)
def test_guards(figures: dict[str, float], failed: list[str]) -> None:
    assert [v["name"] for v in verdicts(figures, ColumnGuardsConfig()) if not v["passed"]] == failed


def test_accuracy_counts_right_answers() -> None:
    brain, own = newborn(CONFIG), examples(30, 5)
    with torch.no_grad():
        answers = (brain.logits(own.images, "a") > 0).float()
    right = Examples(own.images, answers, own.rows)
    half = Examples(own.images, torch.where(torch.arange(30) < 15, answers, 1 - answers), own.rows)
    assert accuracy(brain, right, "a") == 1.0 and accuracy(brain, half, "a") == pytest.approx(0.5)
    assert wrong(brain, half, "a").tolist() == [False] * 15 + [True] * 15


def test_spikes_are_counted_in_the_columns_in_use() -> None:
    brain, own = newborn(CONFIG), examples(10, 6)
    even = spiking(brain, own, "a")
    with torch.no_grad():
        brain.controller.router.logits["a"][0] = 100.0
    one = spiking(brain, own, "a")
    assert 0 < one.spikes < even.spikes and 0 < one.rate < 1
    weights = brain.network.encoder[0].numel() + brain.network.prompted[0].numel()
    assert one.synaptic_operations == pytest.approx(one.spikes + weights)
    assert one.energy == pytest.approx(4.6e-3 * weights + 0.9e-3 * one.spikes)
    rates = brain.network.rates(own.images, brain.controller.prompt("a"), torch.tensor([0]))
    steps, hidden = CONFIG.model.time_steps, CONFIG.model.hidden_per_column
    assert one.spikes == pytest.approx(float(rates.detach().mean()) * steps * hidden, rel=1e-4)
    assert np.isclose(one.rate, float(rates.detach().mean()), rtol=1e-4)


def test_rates_that_are_not_those_of_the_spikes_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    brain, own = newborn(CONFIG), examples(10, 6)
    monkeypatch.setattr(brain.network, "rates", lambda *arguments: torch.zeros(10, 2, 8))
    with pytest.raises(ValueError, match="differ from those of its spikes"):
        spiking(brain, own, "a")
