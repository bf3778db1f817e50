"""Numbers of a report by their names: what a prefix means, what a report can hold, and figures over tasks."""

from __future__ import annotations

import pytest

from pipeline.report.base import RunReport
from pipeline.report.flows import flow_reports
from pipeline.report.numbers import chosen, known_numbers, matches, nearest, numbers_of, possible
from tests.columns.examples import MORNING, make_report
from tests.report.examples import answered
from tests.report.examples import make_report as first_flow

COLUMNS, CONSOLIDATION = make_report(), first_flow(*answered())


@pytest.mark.parametrize(
    ("name", "prefix", "meant"),
    [
        ("accuracy.after_sleep.task1", "accuracy", True),
        ("accuracy.after_sleep.task1", "accuracy.after_sleep", True),
        ("accuracy.after_sleep.task1", "accuracy.after", False),
        ("accuracy", "accuracy.after_sleep", False),
        ("arms.post_off.em", "arms.*.em", True),
        ("arms.post_off.em_ci95.low", "arms.*.em", False),
        ("arms.post_off.by_form.em.em", "arms.*.em", False),
    ],
)
def test_a_prefix_means_whole_parts_of_a_name(name: str, prefix: str, meant: bool) -> None:
    assert matches(name, prefix) == meant


@pytest.mark.parametrize("report", [COLUMNS, CONSOLIDATION], ids=lambda report: report.flow)
def test_every_number_of_a_report_was_known_to_be_possible(report: RunReport) -> None:
    known = known_numbers(type(report))
    names = numbers_of(report)
    assert names and all(possible(name, known) for name in names)


@pytest.mark.parametrize(
    ("flow", "prefix", "hint"),
    [
        ("columns", "acuracy", "accuracy"),
        ("columns", "steps.wak", "steps.wake"),
        ("columns", "steps.wake.day", "steps.wake"),
        ("columns", "accuracy.", "accuracy"),
        ("columns", "run_id", ""),
        ("columns", "", ""),
        ("consolidation", "sanity.dleta", "sanity.delta"),
        ("consolidation", "arms.*.EM", "arms"),
    ],
)
def test_a_prefix_that_no_report_can_hold_is_known_before(flow: str, prefix: str, hint: str) -> None:
    known = known_numbers(flow_reports()[flow].schema)
    assert not possible(prefix, known) and hint in nearest(prefix, known)


def test_keys_may_hold_dots() -> None:
    known = known_numbers(flow_reports()["consolidation"].schema)
    assert possible("telemetry.retrieval.requests", known) and possible("guards.sanity.delta.value", known)
    assert chosen(numbers_of(CONSOLIDATION), ["telemetry.retrieval"])["telemetry.retrieval.hits"] == 39


@pytest.mark.parametrize("report", [COLUMNS, CONSOLIDATION], ids=lambda report: report.flow)
def test_the_headline_of_a_flow_stands_in_its_report(report: RunReport) -> None:
    flow, numbers = flow_reports()[report.flow], numbers_of(report)
    assert all(chosen(numbers, [prefix]) for prefix in flow.headline)


def test_a_group_of_tasks_has_a_mean_and_a_lowest_and_other_groups_have_none() -> None:
    flow = flow_reports()["columns"]
    found = chosen(numbers_of(COLUMNS), flow.headline, flow.by_task)
    assert found["accuracy.after_sleep (mean)"] == pytest.approx(sum(MORNING.values()) / 4)
    assert found["accuracy.after_sleep (lowest)"] == 0.9656
    assert list(found)[:6] == [
        *(f"accuracy.before_sleep.{task}" for task in MORNING),
        "accuracy.before_sleep (mean)",
        "accuracy.before_sleep (lowest)",
    ]
    assert "control_gains.direct_er" in found and not any(name.startswith("control_gains (") for name in found)


def test_part_of_a_group_and_a_single_task_have_no_mean() -> None:
    by_task = ("accuracy.*",)
    part = chosen(numbers_of(COLUMNS), ["accuracy.after_sleep.task1", "accuracy.after_sleep.task2"], by_task)
    assert list(part) == ["accuracy.after_sleep.task1", "accuracy.after_sleep.task2"]
    assert list(chosen({"accuracy.after_task1.task1": 1.0}, ["accuracy"], by_task)) == ["accuracy.after_task1.task1"]
