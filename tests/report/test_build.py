"""report.json against the published contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline.artifacts import write_json
from pipeline.errors import ArtifactError
from pipeline.evaluation.metrics import summarise
from pipeline.report.build import load_report
from pipeline.report.figures import headline, other_table
from tests.report.examples import answered, make_report

SCHEMA = json.loads(Path(__file__).with_name("report.schema.json").read_text())
SUITE, ANSWERS = answered()


def test_a_whole_night_fits_the_contract() -> None:
    plain = make_report(SUITE, ANSWERS).to_json()
    jsonschema.validate(plain, SCHEMA, format_checker=jsonschema.FormatChecker())
    assert "shuffled_answers" not in plain["arms"]
    assert "sanity_pre" not in plain["arms"]
    assert plain["telemetry"]["refusal_rate"] == 0.0
    assert plain["notes"] == ["Only a test."]


def test_what_was_not_measured_is_absent_and_its_guard_is_null() -> None:
    guards = [{"name": "uplift", "value": None, "threshold": 0.2, "passed": False}]
    plain = make_report(SUITE, ANSWERS, metrics={"arms": {}}, lora=None, guards=guards).to_json()
    assert {"prior", "uplift", "sanity", "takeover", "hallucination", "drift", "lora"}.isdisjoint(plain)
    assert plain["guards"] == guards
    assert plain["arms"] == {}


def test_a_night_of_passages_fits_the_contract_and_its_tables_say_why_questions_were_dropped() -> None:
    share = {"pre": 0.0, "post": 0.1, "oracle": 0.4, "share": 0.25, "untaught": None, "n": 40}
    written = {"asked": 48, "kept": 5, "dropped": {"inconsistent": 40, "repeated": 3, "off the passage": 0}}
    study = {"questions": written, "rewrites": written, "implications": written, "by_rule": {"studied-cloze": 90}}
    metrics = summarise(ANSWERS, SUITE, None, resamples=50) | {
        "gap_closed": 0.25,
        "gap": {"contains": share},
        "study": study | {"generator": "ab", "passages": 4},
    }
    report = make_report(SUITE, ANSWERS, metrics=metrics)
    jsonschema.validate(report.to_json(), SCHEMA | {"required": ["gap_closed", "gap", "study"]})
    rows = dict(other_table(report).rows)
    assert rows["gap.contains.share"] == "0.250" and rows["study.by_rule.studied-cloze"] == "90"
    assert rows["study.questions"] == "5 kept of 48 (40 inconsistent, 3 repeated)"
    assert ("Gap closed", "0.25") in [card[:2] for card in headline(report)]
    assert {"gap_closed", "gap", "study"}.isdisjoint(make_report(SUITE, ANSWERS).to_json())


def test_a_report_reads_back_the_same(tmp_path: Path) -> None:
    report = make_report(SUITE, ANSWERS)
    write_json(tmp_path / "report.json", report.to_json())
    assert load_report(tmp_path) == report
    assert load_report(tmp_path / "report.json") == report


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"telemetry": {"retrieval.guesses": 1}}, "retrieval.guesses"),
        ({"metrics": {"arms": {}, "takeover": float("nan")}}, "takeover"),
        ({"metrics": {"arms": {"pre_off": {"em": 0.5}}}}, "arms.pre_off"),
        ({"suites": {"episodic": {"ceiling": 1.0}}}, "suites.episodic"),
        ({"guards": [{"name": "uplift", "value": "high"}]}, "guards.0"),
    ],
)
def test_a_wrong_figure_is_named(changes: dict[str, Any], names: str) -> None:
    with pytest.raises(ArtifactError, match=names):
        make_report(SUITE, ANSWERS, **changes)


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", make_report(SUITE, ANSWERS).to_json() | {"schema_version": 2})
    with pytest.raises(ArtifactError, match="schema_version"):
        load_report(tmp_path)
