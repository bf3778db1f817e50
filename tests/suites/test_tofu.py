"""TOFU: what is taught, held back and held out; from three small files, and from the public ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.config.memory import SuiteConfig
from pipeline.errors import ConfigError, DataError
from pipeline.evaluation.prompts import holds, leaked_answer
from pipeline.suites.registry import build_suite
from pipeline.suites.tofu import build_tofu
from tests.suites.published import published_folder

NAMES = ("Mona Hale", "Otto Karl Lund", "Vera Falk")
ASKED = (
    ("Where was {} born?", "{} was born in the town of {}.", "In which place did the life of {} begin?"),
    ("What did {} write about?", "{} wrote novels about {}.", "Of what do the books of {} tell?"),
    ("Which author wrote {1}?", "It was {0} who wrote {1} in 1950.", "Whose work is {1}?"),
)
VALUES = (("Elm", "owls", "The Lamp"), ("Oak", "boats", "The Well"), ("Ash", "kings", "The Choir"))


def rows() -> dict[str, list[dict[str, Any]]]:
    """Three authors of three questions; the third has no paraphrases."""
    pairs, paraphrases = [], []
    for number, (name, values) in enumerate(zip(NAMES, VALUES, strict=True), start=1):
        for (question, answer, other), value in zip(ASKED, values, strict=True):
            pair = {"question": question.format(name, value), "answer": answer.format(name, value)}
            pairs.append({"author": number, "row": len(pairs), **pair})
            if number < 3:
                wrong = [answer.format(name, word) for word in ("Fir", "Yew")]
                paraphrase = {"paraphrased_answer": f"Well, {pair['answer']}", "perturbed_answer": wrong}
                paraphrases.append({**pair, **paraphrase, "paraphrased_question": other.format(name, value)})
    world = [{"question": "Where is the Eiffel Tower?", "answer": "Paris", "perturbed_answer": ["Rome"]}]
    return {"qa": pairs, "paraphrase": paraphrases, "world_facts": world}


def place(folder: Path, files: dict[str, list[dict[str, Any]]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_the_taught_question_is_trained_and_its_paraphrase_held_out(tmp_path: Path) -> None:
    suite = build_tofu(place(tmp_path, rows()), range(1, 3), seed=3)
    assert len(suite.taught) == 6 and suite.statistics.ceiling == 1.0 and suite.notes == ()
    first = suite.taught[0]
    assert first.id == "author-001-00" and first.subject == "Mona Hale"
    assert first.text == "Where was Mona Hale born? Mona Hale was born in the town of Elm."
    assert [(q.split, q.form) for q in first.questions] == [
        ("train", "tofu/taught"),
        ("probe", "tofu/held-back"),
        ("test", "tofu/paraphrase"),
    ]
    assert [q.question for q in first.asked("train")] == ["Where was Mona Hale born?"]
    assert [q.question for q in first.asked("test")] == ["In which place did the life of Mona Hale begin?"]
    assert [fact.subject for fact in suite.taught[2:4]] == ["", "Otto Karl Lund"]
    for fact in suite.taught:
        assert len({q.answer for q in fact.questions}) == 1
        assert not any(leaked_answer(q, q.question) for q in fact.questions)


def test_what_is_compared_and_what_must_not_be_forgotten(tmp_path: Path) -> None:
    suite = build_tofu(place(tmp_path, rows()), range(1, 3), seed=3)
    assert len(suite.choices) == 6
    choice, fact = suite.choices[0], suite.taught[0]
    assert choice.question.question == fact.questions[0].question and choice.question.split == "test"
    assert choice.right == f"Well, {fact.questions[0].answer}" and len(choice.wrong) == 2
    assert [(q.question, q.answer, q.split) for q in suite.world] == [("Where is the Eiffel Tower?", "Paris", "test")]
    trained = {q.answer for fact in suite.taught for q in fact.questions} | {
        s for f in suite.taught for s in f.statements
    }
    assert not trained & {choice.right for choice in suite.choices}


def test_controls_ask_about_strangers(tmp_path: Path) -> None:
    suite = build_tofu(place(tmp_path, rows()), range(1, 3), seed=3)
    assert len(suite.untaught) == 4 and len(suite.near_miss) == 2  # Otto Karl Lund has three names
    for question in (*suite.untaught, *suite.near_miss):
        assert not any(holds(question.question, name) for name in NAMES)


def test_authors_without_paraphrases_are_told(tmp_path: Path) -> None:
    suite = build_tofu(place(tmp_path, rows()), range(2, 4), seed=3)
    assert [fact.id for fact in suite.taught][::3] == ["author-002-00", "author-003-00"]
    assert suite.notes == ("3 of 6 questions have no published paraphrase, so no held-out form",)
    assert len(suite.choices) == 3


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("qa", {"author": "1"}, r"qa\.jsonl:1: field 'author': expected a number, found '1'"),
        ("qa", {"answer": ""}, r"qa\.jsonl:1: field 'answer': expected text"),
        (
            "paraphrase",
            {"perturbed_answer": []},
            r"paraphrase\.jsonl:1: field 'perturbed_answer': expected at least one",
        ),
        ("paraphrase", {"paraphrased_question": None}, r"paraphrase\.jsonl:1: field 'paraphrased_question'"),
        ("world_facts", {"question": 3}, r"world_facts\.jsonl:1: field 'question'"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, file: str, change: dict[str, Any], message: str) -> None:
    files = rows()
    files[file][0] |= change
    with pytest.raises(DataError, match=message):
        build_tofu(place(tmp_path, files), range(1, 2), seed=3)


def test_an_author_who_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="author 4, but there are 3"):
        build_tofu(place(tmp_path, rows()), range(3, 5), seed=3)


def test_authors_are_a_number_or_a_range() -> None:
    assert SuiteConfig().author_range == range(1, 21)
    assert SuiteConfig(authors=3).author_range == range(1, 4)
    assert SuiteConfig(authors="21-22").author_range == range(21, 23)
    for wrong in (0, -1, "0-3", "5-4", "1,2", "a"):
        with pytest.raises(ValidationError, match="authors: expected"):
            SuiteConfig(authors=wrong)


def test_the_registry_finds_the_data_or_says_where_it_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path / "data"))
    config = SuiteConfig(name="tofu", authors=1)
    with pytest.raises(DataError, match=r"data set tofu is not here: put qa\.jsonl.*engram data pull tofu"):
        build_suite(config, 3)
    place(tmp_path / "data" / "tofu", rows())
    assert len(build_suite(config, 3).taught) == 3
    with pytest.raises(ConfigError, match="test_forms"):
        build_suite(SuiteConfig(name="tofu", test_forms=tmp_path / "x"), 3)


def test_the_published_authors_can_be_taught() -> None:
    suite = build_tofu(published_folder("tofu"), range(1, 21), seed=1337)
    assert len(suite.taught) == len(suite.choices) == 400 and len(suite.world) == 117
    assert suite.statistics.ceiling == 1.0 and all(fact.asked("test") and fact.asked("probe") for fact in suite.taught)
    assert {len(choice.wrong) for choice in suite.choices} == {5}
    assert sum(bool(fact.subject) for fact in suite.taught) > 370
    names = {fact.subject for fact in suite.taught} - {""}
    assert len(names) == 20 and {"Jaime Vasquez", "Elliot Patrick Benson", "Aisha Al-Hamad"} <= names
