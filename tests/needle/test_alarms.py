"""Alarms: the paired test against scipy's and a plain bootstrap, patience, and each wire."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from pipeline.config.nce import AlarmConfig
from pipeline.errors import DataError
from pipeline.needle.alarms import DropTest, drop_alarm, paired_drop, tripped, watching


def evaluations(examples: int, lost: int, won: int) -> tuple[np.ndarray, np.ndarray]:
    """Right answers before and after; all others are right twice."""
    before, after = np.ones(examples, bool), np.ones(examples, bool)
    after[:lost] = False
    before[lost : lost + won] = False
    return before, after


@pytest.mark.parametrize(("lost", "won"), [(80, 10), (30, 25), (5, 40), (0, 0), (0, 7), (3, 0)])
def test_a_drop_is_mcnemars_exact_test(lost: int, won: int) -> None:
    found = paired_drop(*evaluations(2000, lost, won))
    expected = binomtest(lost, lost + won, alternative="greater").pvalue if lost + won else 1.0
    assert found.p_value == pytest.approx(expected)
    assert (found.lost, found.won, found.judged) == (lost, won, True)
    assert found.difference == pytest.approx((won - lost) / 2000) == pytest.approx(found.after - found.before)
    assert found.significant == (expected < 0.05)


def test_the_interval_is_that_of_resampled_pairs() -> None:
    before, after = evaluations(2000, 90, 30)
    drawn = np.random.default_rng(1).integers(2000, size=(2000, 2000))
    low, high = np.quantile((after[drawn].astype(float) - before[drawn]).mean(1), [0.025, 0.975])
    assert paired_drop(before, after).ci95 == pytest.approx((low, high), abs=0.0015)


def test_two_of_64_sequences_say_nothing() -> None:
    found = paired_drop(*evaluations(64, 2, 0))
    assert found.difference == pytest.approx(-0.031, abs=0.001) and not found.judged and not found.significant
    alarm = drop_alarm(AlarmConfig(drop_patience=1, drop_threshold=0.0), [found])
    assert not alarm.raised and "2000 sequences are needed" in alarm.reason


def test_judging_often_needs_more_evidence() -> None:
    pair = evaluations(2000, 20, 8)
    once, often = paired_drop(*pair), paired_drop(*pair, evaluations=10)
    assert once.significant and not often.significant and often.p_value == pytest.approx(10 * once.p_value)


def test_a_training_without_a_drop_seldom_counts_one_however_often_it_is_judged() -> None:
    drawn, counted = np.random.default_rng(0), {1: 0, 11: 0}
    for _ in range(60):  # eleven evaluations, each right for .97 whatever was before
        before, *later = drawn.random((12, 2000)) < 0.97
        for evaluations in counted:
            tests = [paired_drop(before, after, evaluations=evaluations) for after in later]
            counted[evaluations] += any(test.significant for test in tests)
    assert counted[11] <= 6 < counted[1]  # of 60 trainings at level .05: three are due


def test_questions_of_a_sequence_count_as_one() -> None:
    before = np.ones((2000, 2), bool)
    after = before.copy()
    after[:30, 0] = False  # half worse
    after[30:40] = False
    before[40:50, 1] = False  # half better
    found = paired_drop(before, after)
    assert (found.examples, found.lost, found.won) == (2000, 40, 10)
    assert found.difference == pytest.approx((-30 * 0.5 - 10 + 10 * 0.5) / 2000)


def test_only_the_same_sequences_are_compared() -> None:
    with pytest.raises(DataError, match="the same sequences"):
        paired_drop(np.ones(10, bool), np.ones(11, bool))
    with pytest.raises(DataError, match="the same sequences"):
        paired_drop(np.ones(0, bool), np.ones(0, bool))


def test_the_alarm_waits_for_drops_in_a_row() -> None:
    config = AlarmConfig(drop_threshold=0.03, drop_patience=2)
    large, small, none = (paired_drop(*evaluations(2000, lost, 4)) for lost in (120, 60, 4))
    assert large.significant and small.significant and not none.significant
    cases: list[tuple[list[DropTest], bool, int]] = [
        ([], False, 0),
        ([large], False, 1),
        ([large, large], True, 2),
        ([large, none], False, 0),
        ([large, none, large], False, 1),
        ([none, large, large], True, 2),
        ([small, small], False, 0),  # significant, but smaller than the threshold
    ]
    for tests, raised, drops in cases:
        alarm = drop_alarm(config, tests)
        assert (alarm.raised, alarm.drops) == (raised, drops)
    assert "120 lost and 4 won" in drop_alarm(config, [large, large]).reason


@pytest.mark.parametrize(
    ("figures", "wires"),
    [
        ({"read": 0.49}, ["read"]),
        ({"read": 0.5, "write": 0.01, "accuracy": 0.9, "residual": 1.5e-3}, []),
        ({"write": 0.009}, ["write"]),
        ({"accuracy": 0.89}, ["accuracy"]),
        ({"residual": 1.6e-3}, ["residual"]),
        ({"read": None, "residual": None}, []),
        ({"loss": float("nan"), "read": 0.4}, ["nan", "read"]),
        ({"read": float("nan")}, ["nan"]),
        ({"residual": float("inf")}, ["nan"]),
        ({}, []),
    ],
)
def test_wires(figures: dict[str, float | None], wires: list[str]) -> None:
    config = AlarmConfig(tripwire_val_acc_min=0.9)
    found = tripped(config, figures, watched=True, solver_tolerance=1e-3)
    assert [trip.wire for trip in found] == wires
    early = tripped(config, figures, watched=False, solver_tolerance=1e-3)
    assert [trip.wire for trip in early] == [wire for wire in wires if wire in ("nan", "residual")]


def test_wires_can_be_taken_away() -> None:
    none = AlarmConfig(tripwire_read=None, tripwire_write=None, tripwire_residual=None)
    assert tripped(none, {"read": 0.0, "write": -1.0, "residual": 9.0, "accuracy": 0.0}, watched=True) == []


def test_when_wires_are_watched() -> None:
    assert [watching(AlarmConfig(), 9, openings) for openings in (0, 1)] == [False, True]
    assert [watching(AlarmConfig(tripwire_start_epoch=4), epoch, 0) for epoch in (3, 4)] == [False, True]
