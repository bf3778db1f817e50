"""report.json against the published contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pytest

from pipeline.artifacts import write_json
from pipeline.errors import ArtifactError
from pipeline.evaluation.metrics import summarise
from pipeline.evaluation.preferences import PREFERENCES, long_answer_figures
from pipeline.report.build import load_report
from pipeline.report.figures import headline, other_table, usable_table
from pipeline.report.numbers import numbers_of
from pipeline.suites.relational import build_relational
from tests.report.examples import DRIFT, answered, make_report

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


def test_spatial_figures_are_checked_and_what_was_not_asked_is_absent() -> None:
    pairs = {"steps": {"em": 0.5, "n": 4, "majority": 0.75}}
    measured = {"next": 0.9, "n": {"next": 20}, "unseen_pairs": pairs}
    report = make_report(SUITE, ANSWERS, metrics={"arms": {}, "spatial": measured})
    assert report.to_json()["spatial"] == measured
    assert ("spatial.next", "0.900") in other_table(report).rows
    assert ("spatial.unseen_pairs.steps", "0.500 (a guesser 0.750)") in other_table(report).rows


def test_usable_knowledge_is_reported_with_its_prior_and_goes_to_mlflow_under_the_same_names() -> None:
    report = make_report(SUITE, ANSWERS)
    plain = report.to_json()
    assert set(plain["usable"]) == {"yes_no", "reversed", "implied", "tell_recall", "tell_contradicted"}
    figure = plain["usable"]["yes_no"]
    assert figure["n"] == 8 and figure["prior_n"] == 8 and set(figure["by_gold"]) == {"yes", "no"}
    numbers = numbers_of(report)
    assert numbers["usable.yes_no.value"] == figure["value"] and "usable.tell_contradicted.ci95.low" in numbers
    table = usable_table(report)
    assert [row[0] for row in table.rows] == ["yes_no", "reversed", "implied", "tell_recall", "tell_contradicted"]
    assert table.rows[0][2:4] == (f"{figure['prior']:.2f}", f"{figure['value']:.2f}")
    unmeasured = make_report(SUITE, ANSWERS, metrics={"arms": {}})
    assert usable_table(unmeasured).rows == () and "usable" not in unmeasured.to_json()


def test_relations_are_reported_by_kind_of_question() -> None:
    report = make_report(*answered(build_relational(4, 1337)))
    plain = report.to_json()
    jsonschema.validate(plain, SCHEMA, format_checker=jsonschema.FormatChecker())
    counts = plain["relational"]["n"]
    assert set(counts) == {"one_hop", "join", "two_step", "two_step_one_prompt", "newest"}
    assert (
        counts["join"] == counts["two_step"] == counts["two_step_one_prompt"] == plain["arms"]["two_step"]["n"] == 3 * 4
    )
    assert sum(counts.values()) - counts["two_step"] == plain["arms"]["post_off_heldout"]["n"]
    assert not any("hops" in arm for arm in plain["arms"])
    numbers = numbers_of(report)
    assert {"relational.two_step", "relational.ci95.two_step.low", "relational.prior.two_step.mean"} <= set(numbers)
    shown = dict(other_table(report).rows)
    assert shown["relational.join"] == f"{plain['relational']['join']:.3f} (n = 12)"
    stated_once = make_report(*answered(build_relational(4, 1337, 0.0))).to_json()
    assert "newest" not in stated_once["relational"] and "relational" not in make_report(SUITE, ANSWERS).to_json()


def test_figures_of_long_answers_stand_at_the_top_and_with_their_numbers(tmp_path: Path) -> None:
    row = {"item_id": "a", "right": "r", "wrong": ["w"], "right_pre": -2.0, "wrong_pre": [-1.0]}
    chosen = pa.Table.from_pylist([row | {"right_post": -0.5, "wrong_post": [-1.0]}], schema=PREFERENCES)
    measured = summarise(ANSWERS, SUITE, DRIFT, 50) | long_answer_figures(ANSWERS, chosen, 50)
    world = {"pre": 0.5, "post": 0.5, "delta": 0.0, "kept": 1.0, "n": 2}
    report = make_report(SUITE, ANSWERS, metrics=measured | {"world_facts": world})
    plain = report.to_json()
    jsonschema.validate(plain, SCHEMA)
    assert plain["paraphrase_preferred"] == 1.0 and plain["long_answers"]["paraphrase_preferred"]["n"] == 1
    assert plain["rouge_l"] == plain["long_answers"]["rouge_l"]["post_off"]["mean"] and plain["world_facts"] == world
    write_json(tmp_path / "report.json", plain)
    assert load_report(tmp_path) == report
    shown = {name: value for name, value in other_table(report).rows}
    assert shown["paraphrase_preferred"].startswith("0.000 before, 1.000 after") and "world_facts.kept" in shown
    assert {"ROUGE-L", "Paraphrase preferred", "Facts of the world"} <= {title for title, _, _ in headline(report)}
    plainer = make_report(SUITE, ANSWERS).to_json()
    assert not {"rouge_l", "paraphrase_preferred", "long_answers", "world_facts"} & set(plainer)


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
