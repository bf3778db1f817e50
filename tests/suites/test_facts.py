"""The user's facts: what is accepted, and that every fault is named by file, line and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.memory import SuiteConfig
from pipeline.errors import ConfigError, DataError
from pipeline.evaluation.prompts import asked_text, holds, leaked_answer
from pipeline.suites.facts import guessed_subject, read_facts, suite_of_facts
from pipeline.suites.registry import build_suite
from pipeline.suites.rows import MAX_LINE_BYTES
from pipeline.suites.types import Fact

ROW: dict[str, Any] = {
    "id": "f1",
    "text": "On Friday Mona Hale bought a lantern at the harbour.",
    "subject": "Mona Hale",
    "questions": [
        {"question": "Where did Mona Hale buy the lantern?", "answer": "harbour", "split": "train"},
        {"question": "At what place did Mona Hale shop?", "answer": "harbour", "aliases": ["port"]},
    ],
}


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def people(n: int) -> list[dict[str, Any]]:
    names, places = ["Mona Hale", "Otto Lund", "Vera Falk", "Yuri Sato"], ["harbour", "tannery", "quarry", "chapel"]
    return [
        {
            "id": f"f{i}",
            "text": f"{names[i]} bought a lantern at the {places[i]}.",
            "questions": [
                {"question": f"Where did {names[i]} buy a lantern?", "answer": places[i], "split": "train"},
                {"question": f"At what place did {names[i]} shop?", "answer": places[i]},
            ],
        }
        for i in range(n)
    ]


def test_a_full_row_and_a_bare_row(tmp_path: Path) -> None:
    full, bare = read_facts(write(tmp_path / "my.jsonl", ROW, {"id": "f2", "text": "It rained."}))
    assert (full.session, full.subject, full.reward, full.pin, full.relation) == (
        "default",
        "Mona Hale",
        False,
        False,
        "fact",
    )
    train, test = full.questions
    assert (train.split, train.form, train.item_id) == ("train", "fact/train-1", "f1")
    assert (test.split, test.form, test.aliases, test.answer) == ("test", "fact/test-1", ("port",), "harbour")
    assert bare == Fact("f2", "It rained.")


def test_bom_crlf_blank_lines_and_foreign_fields_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "my.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({**ROW, "source": "diary"}).encode() + b"\r\n\r\n")
    assert [fact.id for fact in read_facts(path)] == ["f1"]


def test_sessions_default_to_the_row_and_an_option_wins(tmp_path: Path) -> None:
    path = write(tmp_path / "my.jsonl", {**ROW, "session": "day-01"}, {"id": "f1", "text": "Other."})
    assert [fact.session for fact in read_facts(path)] == ["day-01", "default"]
    with pytest.raises(DataError, match=r"my\.jsonl:2: field 'id': 'f1' names other content in line 1"):
        read_facts(path, session="evening")
    same = write(tmp_path / "same.jsonl", {**ROW, "session": "day-01"}, {**ROW, "session": "day-02"})
    assert [fact.session for fact in read_facts(same, session="evening")] == ["evening"]
    both = suite_of_facts(read_facts(same), seed=1)
    assert [fact.id for fact in both.taught] == ["day-01/f1", "day-02/f1"]
    assert {q.item_id for q in both.taught[0].questions} == {"day-01/f1"}


QUESTION = {"question": "Where?", "answer": "pier"}


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        ({"text": "x"}, "id", "is missing"),
        ({"id": "a"}, "text", "is missing"),
        ({"id": 7, "text": "x"}, "id", "expected a string, found a number"),
        ({"id": "a", "text": None}, "text", "found null"),
        ({"id": "a", "text": " \t "}, "text", "empty string"),
        ({"id": "a", "text": "x <|im_end|> y"}, "text", "chat-template token '<|im_end|>'"),
        ({"id": "a", "text": "<|endoftext|>"}, "text", "chat-template token"),
        ({"id": "a", "text": "nul \x00"}, "text", "NUL"),
        ('{"id": "a", "text": "half \\ud800"}', "text", "surrogate"),
        ({"id": "a", "text": "x", "reward": "yes"}, "reward", "expected true or false, found a string"),
        ({"id": "a", "text": "x", "pin": 1}, "pin", "expected true or false, found a number"),
        ({"id": "a", "text": "x", "session": "../x"}, "session", "cannot be part of a path"),
        ({"id": "a", "text": "x", "subject": ["M"]}, "subject", "found a list"),
        ({"id": "a", "text": "x", "quesions": []}, "quesions", "did you mean 'questions'"),
        ({"id": "a", "text": "x", "questions": {}}, "questions", "expected a list, found an object"),
        ({"id": "a", "text": "x", "questions": ["q"]}, "questions[0]", "expected an object, found a string"),
        ({"id": "a", "text": "x", "questions": [{"question": "q"}]}, "questions[0].answer", "is missing"),
        ({"id": "a", "text": "x", "questions": [{**QUESTION, "answer": ""}]}, "questions[0].answer", "empty"),
        ({"id": "a", "text": "x", "questions": [{**QUESTION, "question": "?!"}]}, "questions[0].question", "words"),
        (
            {"id": "a", "text": "x", "questions": [{**QUESTION, "split": "dev"}]},
            "questions[0].split",
            "train, probe, test",
        ),
        (
            {"id": "a", "text": "x", "questions": [{**QUESTION, "split": []}]},
            "questions[0].split",
            "train, probe, test",
        ),
        ({"id": "a", "text": "x", "questions": [{**QUESTION, "aliases": "b"}]}, "questions[0].aliases", "list"),
        ({"id": "a", "text": "x", "questions": [{**QUESTION, "aliases": [1]}]}, "questions[0].aliases[0]", "number"),
        ({"id": "a", "text": "x", "questions": [{**QUESTION, "anwser": "b"}]}, "questions[0].anwser", "'answer'"),
        (
            {"id": "a", "text": "x", "questions": [{**QUESTION, "question": "Was it the pier?"}]},
            "questions[0].question",
            "holds its own answer 'pier'",
        ),
    ],
)
def test_a_bad_row_names_line_field_and_reason(tmp_path: Path, row: object, field: str, reason: str) -> None:
    path = write(tmp_path / "my.jsonl", ROW, row)
    with pytest.raises(DataError) as error:
        read_facts(path)
    assert str(error.value).startswith(f"{path}:2: field {field!r}: ")
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"[1]\n", ":1: expected a JSON object, found a list"),
        (b'{"id": "a", "text": "x"}\n{"id": \n', ":2: not a JSON object on one line"),
        (b'{"id": "a", "id": "b", "text": "x"}\n', ":1: not a JSON object on one line: the key 'id' stands twice"),
        (b'{"id": "a", "text": "caf\xe9"}\n', ":1: byte 25 is not UTF-8"),
        ("ÿþ".encode("utf-16"), ":1: byte 1 is not UTF-8"),
        (b'{"id": "a", "text": "' + b"x" * MAX_LINE_BYTES + b'"}\n', f"expected at most {MAX_LINE_BYTES}"),
        (b"[" * 100_000, ":1: not JSON"),
    ],
    ids=range(9),
)
def test_a_bad_file_is_one_clear_error(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "my.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_facts(path)
    assert reason in str(error.value) and str(path) in str(error.value)


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_facts(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="is a folder"):
        read_facts(tmp_path)


@settings(max_examples=60, deadline=None)
@given(
    content=st.one_of(st.binary(max_size=80), st.text(max_size=60).map(lambda text: json.dumps({"id": text}).encode()))
)
def test_any_bytes_are_read_or_refused_as_data(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "my.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_facts(path)


def test_two_answers_to_one_question_name_both_lines(tmp_path: Path) -> None:
    other = {
        "id": "f2",
        "text": "y",
        "questions": [{"question": "where did mona hale buy a LANTERN", "answer": "mill"}],
    }
    with pytest.raises(DataError, match=r"my\.jsonl:3: .*'mill', but 'harbour' in line 1"):
        read_facts(write(tmp_path / "my.jsonl", ROW, "", other))
    other["questions"][0] |= {"answer": "The Harbour!"}  # type: ignore[index]
    assert len(read_facts(write(tmp_path / "my.jsonl", ROW, other))) == 2


def test_a_repeated_row_is_taken_once(tmp_path: Path) -> None:
    assert len(read_facts(write(tmp_path / "my.jsonl", ROW, ROW))) == 1


def test_the_list_of_forbidden_tokens_is_an_argument(tmp_path: Path) -> None:
    path = write(tmp_path / "my.jsonl", {"id": "a", "text": "[INST] x"})
    assert len(read_facts(path)) == 1
    with pytest.raises(DataError, match=r"\[INST\]"):
        read_facts(path, forbidden=r"\[/?INST\]")


def test_subjects_are_guessed_only_when_clear() -> None:
    text = "On Friday Mona Hale met Otto Lund."
    assert guessed_subject(text, ["Whom did Mona Hale meet?", "And did Mona Hale eat?"]) == "Mona Hale"
    assert guessed_subject(text, ["Did Mona Hale meet with Otto Lund?"]) == ""
    assert guessed_subject(text, ["Who was met?"]) == guessed_subject(text, []) == ""
    assert guessed_subject("Carol's dog is called Rex.", ["What is Carol's dog called?"]) == "Carol"
    assert guessed_subject("Carol fell on Monday.", ["Carol fell, but did she cry on Monday?"]) == ""


def test_controls_are_derived_for_people(tmp_path: Path) -> None:
    suite = suite_of_facts(read_facts(write(tmp_path / "my.jsonl", *people(4))), seed=5)
    answers = {fact.id: fact.questions[0].answer for fact in suite.taught}
    names = [fact.subject for fact in suite.taught]
    assert names[0] == "Mona Hale" and suite.statistics.ceiling == 1.0
    assert len(suite.untaught) == len(suite.near_miss) == len(suite.conflict) == len(suite.new) == 4
    for question in (*suite.untaught, *suite.near_miss):
        assert question.split == "test" and not any(name in question.question for name in names)
        assert leaked_answer(question, asked_text(question)) is None
    for question in suite.untaught:
        assert question.answer != answers[question.item_id.removesuffix("-untaught")]
    for name, question in zip(names, suite.near_miss, strict=True):
        assert question.answer == answers[question.item_id.removesuffix("-near-miss")]
        assert sum(part in question.question.split() for part in name.split()) == 1
    for recall in (*suite.conflict, *suite.new):
        assert holds(recall.memory, recall.question.answer)
    for recall, fact in zip(suite.conflict, suite.taught, strict=True):
        assert fact.subject in recall.memory and recall.question.answer != answers[fact.id]
    assert not any(name in recall.memory for recall in suite.new for name in names)
    assert suite == suite_of_facts(read_facts(tmp_path / "my.jsonl"), seed=5)


def test_controls_are_empty_where_they_cannot_be_derived(tmp_path: Path) -> None:
    alone = suite_of_facts(read_facts(write(tmp_path / "one.jsonl", ROW)), seed=1)
    assert alone.untaught == alone.conflict == alone.new == () and len(alone.near_miss) == 1
    rows = [
        {"id": str(i), "text": f"The {c} car is fast.", "subject": f"the {c} car"}
        for i, c in enumerate(["red", "blue"])
    ]
    things = suite_of_facts(read_facts(write(tmp_path / "two.jsonl", *rows)), seed=1)
    assert things.near_miss == things.untaught == () and "2 of 2 facts have no question" in things.notes[0]


def test_train_questions_stand_in_for_missing_test_questions(tmp_path: Path) -> None:
    rows = people(3)
    rows[1]["questions"].pop()
    rows[2]["questions"][1]["question"] = rows[2]["questions"][0]["question"]
    suite = suite_of_facts(read_facts(write(tmp_path / "my.jsonl", *rows)), seed=5)
    assert suite.notes[0].startswith("1 of 3 facts have no test question")
    assert suite.notes[1].startswith("1 test questions repeat")
    assert any(question.item_id == "f1-untaught" and question.split == "test" for question in suite.untaught)


def test_the_registry_builds_facts_and_names_what_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "my.jsonl", *people(4))
    assert len(build_suite(SuiteConfig(name="facts", n=2, path=path), seed=3).taught) == 4
    assert len(build_suite(SuiteConfig(n=3), seed=3).taught) == 3
    with pytest.raises(ConfigError, match=r"suite\.path"):
        build_suite(SuiteConfig(name="facts"), seed=3)
    with pytest.raises(ConfigError, match=r"suite\.test_forms"):
        build_suite(SuiteConfig(name="facts", path=path, test_forms=path), seed=3)
    with pytest.raises(ConfigError, match="episodic, facts"):
        build_suite(SuiteConfig(name="epsodic"), seed=3)
