"""A night's homework: who is studied, what is added, what is counted, and which model writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pipeline.config import ModelConfig
from pipeline.config.study import StudyConfig
from pipeline.evaluation.prompts import leaked_answer
from pipeline.language import self_study, study_questions
from pipeline.language.generation import Generation
from pipeline.language.models import LanguageModel
from pipeline.language.self_study import is_studied, study
from pipeline.suites.study_forms import STATEMENT_ONLY, with_study_forms
from pipeline.suites.types import DOCUMENT, Fact, Question

TEXT = "The mill was sold by the council in 1969. Weavers of Linz turned it into a busy workshop for carpets."
PASSAGE = Fact("p1", TEXT, subject="Old mill", relation=DOCUMENT)
RULES = StudyConfig(questions=0, rewrites=0, implications=0)


def phase(description: str, total: int) -> Callable[[int], None]:
    return lambda count: None


def studied(lm: LanguageModel, *facts: Fact, config: StudyConfig = RULES, seed: int = 1) -> self_study.Studied:
    return study(lm, facts, config, ModelConfig(), seed, phase)


def test_a_passage_gets_titled_forms_by_rule(tiny: LanguageModel) -> None:
    found = studied(tiny, PASSAGE)
    (fact,) = found.facts
    assert fact.questions == found.questions and all(map(is_studied, fact.questions))
    assert all(q.question.startswith("Old mill: ") and q.relation == DOCUMENT for q in fact.questions)
    assert all(leaked_answer(q, q.question) is None and q.answer in TEXT for q in fact.questions)
    assert [q.form for q in fact.asked("probe")] == ["studied-held-back-1", "studied-held-back-2"]
    assert {q.form.rsplit("-", 1)[0] for q in fact.asked("train")} == {"studied-cloze", "studied-keywords"}
    assert len({(q.form) for q in fact.questions}) == len(fact.questions)
    assert found.counts["by_rule"] == {
        kind: sum(q.form.rsplit("-", 1)[0] == kind for q in fact.questions)
        for kind in ("studied-cloze", "studied-keywords", "studied-held-back")
    }
    assert fact.statements == (f"Old mill: {TEXT}",) and not fact.asked("test")


def test_the_same_seed_studies_alike_and_another_one_draws_anew(tiny: LanguageModel) -> None:
    first, again, other = (studied(tiny, PASSAGE, seed=seed).questions for seed in (1, 1, 2))
    assert first == again != other


def test_only_facts_without_a_users_questions_are_studied(tiny: LanguageModel) -> None:
    asked = Question("f1", "fact", "fact/train-1", "train", "When was the mill sold?", "1969")
    own, bare = with_study_forms([Fact("f1", TEXT, questions=(asked,)), Fact("f2", TEXT)])
    found = studied(tiny, own, bare)
    assert bare.relation == STATEMENT_ONLY and found.counts["passages"] == 1
    assert found.facts[0] == own and len(found.facts[1].questions) > len(bare.questions)
    assert found.facts[1].statements == (TEXT,)
    assert studied(tiny, own).counts == {"passages": 0}


def test_equal_words_never_ask_for_two_answers(tiny: LanguageModel) -> None:
    twin = Fact("p2", TEXT.replace("1969", "1970"), subject="Old mill", relation=DOCUMENT)
    questions = studied(tiny, PASSAGE, twin).questions
    assert len({q.question for q in questions}) == len(questions)


def test_what_the_generator_writes_comes_first_and_is_counted_apart(
    tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generations(lm: Any, prompts: Sequence[str], *settings: Any, **options: Any) -> list[Generation]:
        said = "When was the mill sold?" if prompts[0].endswith("\nQuestion:") else "1969"
        return [Generation(said, 9, False) for _ in prompts]

    monkeypatch.setattr(study_questions, "kept_generations", generations)
    found = studied(tiny, PASSAGE, config=RULES.model_copy(update={"questions": 1}))
    # The first span of the passage is the year: it is what this generator asks about.
    assert found.facts[0].questions[0].form == "studied-1" and found.facts[0].questions[0].answer == "1969"
    assert found.counts["questions"] == {"asked": 1, "kept": 1, "dropped": {"inconsistent": 0}}
    assert found.generator == tiny.digest and "studied" not in found.counts["by_rule"]


def test_a_bigger_model_can_write(tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(config: ModelConfig) -> LanguageModel:
        loaded.append(config.name)
        return tiny

    monkeypatch.setattr(self_study, "load_model", load)
    config = StudyConfig(generator="models/bigger", questions=2, tokens=4)
    found = studied(tiny, PASSAGE, config=config)
    assert loaded == ["models/bigger"]
    for what in ("questions", "rewrites", "implications"):  # the tiny model writes nonsense
        counts = found.counts[what]
        assert counts["asked"] == counts["kept"] + sum(counts["dropped"].values()) == 2 and counts["kept"] == 0
    studied(tiny, PASSAGE, config=RULES.model_copy(update={"generator": "models/bigger"}))
    assert loaded == ["models/bigger"]  # rules need no writer
