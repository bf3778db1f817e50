"""What the generator asks about a passage: kept when it keeps to the passage and answers itself alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.language import study_questions
from pipeline.language.generation import Generation
from pipeline.language.passages import Span, sentences, spans
from pipeline.language.study_questions import (
    EXAMPLES,
    OPENINGS,
    Asked,
    Passage,
    fault,
    gap_text,
    question_prompt,
    same_answer,
    span_queries,
    with_gap,
    written_questions,
)

TEXT = "The mill was sold in 1969. Weavers of Linz turned it into a workshop."
PARTS = tuple(sentences(TEXT))
YEAR = Span("1969", 0, "date")


def passage(text: str = TEXT, subject: str = "Old mill") -> Passage:
    parts = sentences(text)
    return Passage(text, subject, tuple(parts), tuple(spans(parts, subject)))


def phase(description: str, total: int) -> Callable[[int], None]:
    return lambda count: None


class Generator:
    """Speaks for the model: ``question`` where a sentence has a gap, ``answer`` where a question is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, question: str, answer: str) -> None:
        self.question, self.answer = question, answer
        self.prompts: list[list[str]] = []
        monkeypatch.setattr(study_questions, "kept_generations", self.generations)

    def generations(self, lm: Any, prompts: Sequence[str], *settings: Any, **options: Any) -> list[Generation]:
        self.prompts.append(list(prompts))
        reply = self.question if prompts[0].endswith("\nQuestion:") else self.answer
        return [Generation(reply, 9, reply.endswith("…")) for _ in prompts]


def written(count: int = 1, passages: Sequence[Passage] = ()) -> tuple[list[Asked], dict[str, Any]]:
    return written_questions(None, passages or [passage()], count, 0.66, 32, 8, phase)  # type: ignore[arg-type]


def test_a_question_that_the_generator_answers_alike_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = Generator(monkeypatch, "When was the mill sold?", "in 1969")
    kept, counts = written()
    assert kept == [Asked(0, YEAR, PARTS[0], "When was the mill sold?")]
    assert counts == {"asked": 1, "kept": 1, "dropped": {"inconsistent": 0}}
    assert generator.prompts[0][0].endswith("Sentence: The mill was sold in ____.\nMissing: 1969\nQuestion:")
    assert PARTS[0] in generator.prompts[1][0] and "When was the mill sold?" in generator.prompts[1][0]


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("It was sold in the year", "no question"),
        ("When?", "no question"),
        ("When was it sold? Who bought it?", "no question"),
        ("Was the mill sold in 1969?", "holds its answer"),
        ("When did the city of Vienna sell it?", "names others"),
        ("When were 12 mills sold?", "names others"),
        ("When did penguins first discover reading glasses?", "off the passage"),
        ("When was the mill sold…", "unfinished"),
    ],
)
def test_a_question_that_strays_is_dropped_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, question: str, reason: str
) -> None:
    Generator(monkeypatch, question, "1969")
    kept, counts = written()
    assert kept == [] and counts["dropped"][reason] == 1 and counts["kept"] == 0


def test_another_answer_at_the_second_ask_drops_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    Generator(monkeypatch, "When was the mill sold?", "1970")
    assert written()[1] == {"asked": 1, "kept": 0, "dropped": {"inconsistent": 1}}


def test_the_same_words_are_kept_once_and_never_for_two_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    Generator(monkeypatch, "When was the mill sold?", "1969")
    kept, counts = written(count=3 * len(passage().spans))
    assert len(kept) == 1 and counts["asked"] == 3 * len(passage().spans)
    assert counts["dropped"]["repeated"] == counts["asked"] - 1


def test_spans_take_turns_with_other_examples_first(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = Generator(monkeypatch, "No question", "")
    number = len(passage().spans)
    written(count=1000)
    assert len(generator.prompts[0]) == number * min(map(len, EXAMPLES.values())) == len(set(generator.prompts[0]))
    assert written(count=0)[1] == {"asked": 0, "kept": 0, "dropped": {}}
    assert written(passages=[Passage("", "", (), ())])[1]["asked"] == 0


def test_half_of_an_answer_gives_it_away() -> None:
    question = Asked(0, Span("busy workshop", 1, "phrase"), PARTS[1], "Which workshop did weavers turn it into?")
    assert fault(question, passage()) == "holds its answer"


def test_the_title_may_be_named() -> None:
    assert fault(Asked(0, YEAR, PARTS[0], "When was Old mill sold?"), passage(subject="Old mill")) == ""


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_examples_have_one_gap_and_questions_without_their_answer(kind: str) -> None:
    for sentence, missing, question in EXAMPLES[kind]:
        assert sentence.count("____") == 1 and question.endswith("?")
        assert fault(Asked(0, Span(missing, 0, kind), sentence, question), passage(sentence)) != "holds its answer"
    assert question_prompt("A b.", Span("b", 0, kind), 1) != question_prompt("A b.", Span("b", 0, kind), 0)


def test_answers_agree_up_to_articles_or_in_most_words() -> None:
    assert same_answer("The workshop.", "workshop", 1.0)
    assert same_answer("the old workshop", "old stone workshop", 0.66) and not same_answer("a mill", "workshop", 0.66)


def test_gaps_are_whole_words_and_leave_no_answer() -> None:
    assert with_gap("A mill, the mill.", "mill") == "A ____, the mill."
    assert with_gap("The milling mill.", "mill") == "The milling ____."
    assert gap_text("The mill was sold.", "mill") == "Fill in: The ____ was sold."
    assert gap_text("A mill, the mill.", "mill") is None and gap_text("The mill.", "mill") is None


def test_keyword_queries_hold_words_of_the_sentence_in_order_and_not_the_answer() -> None:
    sentence = "Weavers of Linz turned the old mill into a busy workshop for carpets."
    span = Span("busy workshop", 0, "phrase")
    queries = list(span_queries(sentence, span, 6, np.random.default_rng(1)))
    assert len(queries) == len(set(queries)) == 6
    places = {word: i for i, word in enumerate(sentence.rstrip(".").split())}
    for query in queries:
        opening = max((o for o in OPENINGS["phrase"] if query.startswith(o)), key=len)
        words = query.removeprefix(opening).rstrip("?").split()
        assert len(words) >= 2 and sorted(words, key=places.__getitem__) == words
        assert "busy" not in query and "workshop" not in query
    assert list(span_queries(sentence, span, 6, np.random.default_rng(1))) == queries
    assert list(span_queries("Nothing here.", span, 6, np.random.default_rng(1))) == []
    assert list(span_queries("A mill.", Span("mill", 0, "phrase"), 3, np.random.default_rng(1))) == []
