"""Statements about a passage: kept when they keep to it, say something anew, and follow from the sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.language import study_statements
from pipeline.language.generation import Generation
from pipeline.language.study_questions import Passage
from pipeline.language.study_statements import (
    EXAMPLES,
    IMPLICATION,
    REWRITE,
    fault,
    statement_prompt,
    written_statements,
)

LONG = "In 1969 the council sold the old mill to weavers of Linz."
PASSAGE = Passage(f"{LONG} It was late.", "Old mill", (LONG, "It was late."), ())
GOOD = "The weavers of Linz bought the old mill from the council."


def phase(description: str, total: int) -> Callable[[int], None]:
    return lambda count: None


def written(
    monkeypatch: pytest.MonkeyPatch, said: str, *, gain: float = 1.0, count: int = 1, kind: str = REWRITE
) -> tuple[dict[int, list[str]], dict[str, Any], list[str]]:
    """``said`` is what the generator says; evidence makes it likelier by ``gain`` nats a token."""
    asked: list[str] = []

    def generations(lm: Any, prompts: Sequence[str], *settings: Any, **options: Any) -> list[Generation]:
        asked.extend(prompts)
        return [Generation(said, 9, said.endswith("…")) for _ in prompts]

    def surprise(lm: Any, texts: Sequence[str], *, context: str = "") -> np.ndarray:
        return np.full(len(texts), 4.0 - (gain if context == LONG else 0.0))

    monkeypatch.setattr(study_statements, "kept_generations", generations)
    monkeypatch.setattr(study_statements, "token_surprise", surprise)
    found, counts = written_statements(None, [PASSAGE], kind, count, 0.3, 32, 8, phase)  # type: ignore[arg-type]
    return found, counts, asked


def test_a_statement_that_its_sentence_bears_out_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found, counts, asked = written(monkeypatch, GOOD[0].lower() + GOOD[1:])
    assert found == {0: [GOOD]} and counts == {"asked": 1, "kept": 1, "dropped": {"inconsistent": 0}}
    assert asked[0].endswith(f"Sentence: {LONG}\nIn other words:")  # the longest sentence first
    assert written(monkeypatch, GOOD, kind=IMPLICATION)[2][0].endswith("\nIt follows that:")


def test_a_statement_that_the_sentence_makes_no_likelier_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    found, counts, _ = written(monkeypatch, GOOD, gain=0.2)
    assert found == {} and counts["dropped"] == {"inconsistent": 1}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("The old mill of Linz", "no statement"),
        ("It was.", "no statement"),
        (LONG, "a copy"),
        ("The weavers of Vienna bought the old mill.", "names others"),
        ("The weavers of Linz bought 7 old mills.", "names others"),
        ("Good friends always tell each other everything.", "off the passage"),
        ("The weavers of Linz bought…", "unfinished"),
    ],
)
def test_a_statement_that_strays_is_dropped_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, said: str, reason: str
) -> None:
    found, counts, _ = written(monkeypatch, said)
    assert found == {} and counts["dropped"][reason] == 1


def test_a_statement_is_kept_once_and_no_more_are_asked_for_than_there_are_sentences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, counts, asked = written(monkeypatch, GOOD, count=5)
    assert len(asked) == 2 and found == {0: [GOOD]} and counts["dropped"]["off the passage"] == 1
    assert written(monkeypatch, GOOD, count=0)[1] == {"asked": 0, "kept": 0, "dropped": {}}


@pytest.mark.parametrize("kind", [REWRITE, IMPLICATION])
def test_examples_keep_to_their_sentence(kind: str) -> None:
    for sentence, said in EXAMPLES[kind]:
        assert fault(said, sentence, Passage(sentence, "", (sentence,), ())) in ("", "off the passage")
        assert said in statement_prompt("A b.", kind)
