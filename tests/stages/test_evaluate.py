"""Stage ``evaluate``: how each arm's prompts are decoded, for real, by decoders of four tiny layers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.config import ConsolidationConfig
from pipeline.evaluation.arms import Ask, Plan
from pipeline.evaluation.dialogues import entity
from pipeline.evaluation.prompts import render
from pipeline.evaluation.sanity import sanity_asks, sanity_summary
from pipeline.evaluation.types import Memory
from pipeline.language.generation import Generation, generate
from pipeline.language.prompts import closed_book_prompt, memory_prompt
from pipeline.progress import Silent
from pipeline.stages.decoding import decode
from pipeline.stages.evaluate import trainable_controls
from pipeline.stages.examination import _answers, _preferences
from pipeline.stages.night import configure
from pipeline.suites.chains import JOINS
from pipeline.suites.relational import build_relational
from pipeline.suites.sanity import SanityQuestion
from pipeline.suites.types import Choice, Question
from tests.evaluation.examples import small_suite
from tests.language.examples import facts
from tests.language.tiny import tiny_language_model, tiny_model

BASE = tiny_language_model()
MODELS = {"base": BASE, "post": replace(BASE, model=tiny_model(seed=1))}
ARMS = (("pre_off", "memory_on", "memory_on_probe"), ("post_off", "post_on", "post_on_probe"))  # the last two alike
ASKS = [
    Ask(arm, fact.questions[0], (Memory(fact.text, fact.id, 1.0),) if "_on" in arm else None)
    for fact in facts(3)
    for arm in sum(ARMS, ())
]
PROMPTS = render(ASKS, lambda question: closed_book_prompt(BASE.tokenizer, question), memory_prompt)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))


def replies(config: ConsolidationConfig) -> list[Generation]:
    untold = [memory_prompt(ask.question.question, []) for ask in ASKS]
    return decode(MODELS, ASKS, PROMPTS, untold, config, Silent())


def alone(ask: Ask, prompt: str, contrast: float) -> Generation:
    """The same answer, asked for by itself."""
    lm, untold = MODELS[ask.model], [memory_prompt(ask.question.question, [])]
    if ask.memories is None:
        return generate(lm, [prompt], max_new_tokens=8)[0]
    return generate(lm, [prompt], max_new_tokens=8, one_line=True, against=untold, contrast=contrast)[0]


def test_only_memory_prompts_are_contrasted_and_as_configured(artifact_root: Path) -> None:
    made: dict[float, list[Generation]] = {}
    for contrast in (0.0, 0.7, 2.0):
        settings = [f"evaluation.memory_contrast={contrast}", "evaluation.max_new_tokens=8", "evaluation.batch_size=2"]
        made[contrast] = replies(configure("consolidation/episodic", settings, artifact_root))
        assert made[contrast] == [alone(a, p, contrast) for a, p in zip(ASKS, PROMPTS, strict=True)]
    for model in MODELS:
        mine = [i for i, ask in enumerate(ASKS) if ask.model == model and ask.memories]
        assert len({tuple(made[contrast][i].text for i in mine) for contrast in made}) == 3


def test_free_texts_alone_may_be_longer_before_and_after(artifact_root: Path) -> None:
    config = configure(
        "consolidation/episodic", ["evaluation.max_new_tokens=3", "evaluation.tell_tokens=9"], artifact_root
    )
    asks = [Ask(arm, facts(1)[0].questions[0]) for arm in ("pre_off", "tell_pre", "post_off", "tell", "reversed")]
    asks = [Ask(ask.arm, replace(ask.question, question=f"{ask.arm}?")) for ask in asks]
    prompts = [closed_book_prompt(BASE.tokenizer, ask.question) for ask in asks]
    made = decode(MODELS, asks, prompts, prompts, config, Silent())
    for ask, prompt, reply in zip(asks, prompts, made, strict=True):
        assert reply == generate(MODELS[ask.model], [prompt], max_new_tokens=9 if "tell" in ask.arm else 3)[0]


def test_baselines_have_a_limit_of_their_own_and_a_long_context_is_not_contrasted(artifact_root: Path) -> None:
    config = configure("consolidation/episodic", ["evaluation.memory_contrast=2.0"], artifact_root)
    question, other = ASKS[0].question, facts(3)[2]
    context = (Memory(other.text, other.id, 1.0), Memory(facts(3)[0].text, "f0", 1.0))
    asks = [Ask("span_short", question), Ask("pre_off", question), Ask("longctx", question, context)]
    asks.append(Ask("rag", question, context))
    prompts = render(asks, lambda asked: closed_book_prompt(BASE.tokenizer, asked), memory_prompt)
    untold = [memory_prompt(ask.question.question, []) for ask in asks]
    brief, free, long, several = decode(MODELS, asks, prompts, untold, config, Silent())
    assert brief == generate(BASE, [prompts[0]], max_new_tokens=8)[0] and brief.new_tokens <= 8 < free.new_tokens
    assert long == generate(BASE, [prompts[2]], max_new_tokens=24, one_line=True)[0]
    assert (
        several == generate(BASE, [prompts[3]], max_new_tokens=24, one_line=True, against=[untold[3]], contrast=2.0)[0]
    )
    assert long.text != several.text


@pytest.mark.parametrize(("model", "arm"), [("base", "two_step{}_pre"), ("post", "two_step{}")])
def test_joins_are_asked_in_steps_by_each_model_in_its_own_words(artifact_root: Path, model: str, arm: str) -> None:
    config = configure("consolidation/relational", ["evaluation.max_new_tokens=4"], artifact_root)
    suite = build_relational(3, 5)
    joins = [q for fact in suite.taught for q in fact.asked("test") if q.relation in JOINS][:7]
    asks = [Ask("post_off_heldout", question) for question in joins]
    rows = _answers(MODELS, asks, [], suite.taught, config, Silent())[0].to_pylist()
    whole = {(row["item_id"], row["form"]): row for row in rows if row["arm"] == arm.format("")}
    hops = sorted((row for row in rows if row["arm"] == arm.format("_hops")), key=lambda row: row["form"])
    assert len(whole) == len(joins) < len(hops)
    for (item, form), end in whole.items():
        own = [hop for hop in hops if hop["item_id"] == item and hop["form"].startswith(f"{form}/")]
        for hop in own:
            assert hop["answer"] == generate(MODELS[model], [hop["prompt"]], max_new_tokens=4)[0].text
        assert all(entity(a["answer"]).lower() in b["prompt"].lower() for a, b in pairwise(own))
        assert end["prompt"] in (own[-1]["prompt"], "")


def test_format_only_is_left_out_where_there_are_no_namesakes() -> None:
    plan = Plan(
        tuple(Ask(arm, ask.question) for arm in ("format_only", "shuffled_answers") for ask in ASKS[:2]), ("n",)
    )
    assert trainable_controls(plan, {"question": 4, "namesake": 1}) == plan
    fewer = trainable_controls(plan, {"question": 4})
    assert fewer.models == ("shuffled_answers",) and len(fewer.notes) == 2 and "namesake" in fewer.notes[1]
    assert trainable_controls(fewer, {}) == fewer


def test_choices_are_compared_where_a_suite_has_any() -> None:
    post, suite = MODELS["post"], small_suite(2)
    assert _preferences(BASE, post, suite, Silent()) is None
    choices = tuple(Choice(fact.questions[0], "He was there.", ("She was there.", "No.")) for fact in suite.taught)
    found = _preferences(BASE, post, replace(suite, choices=choices), Silent())
    assert found is not None and found.column("item_id").to_pylist() == [fact.id for fact in suite.taught]


@pytest.mark.parametrize("right", ["base", "post"])
def test_a_doubtful_loss_of_general_knowledge_is_looked_at_again(artifact_root: Path, right: str) -> None:
    """What the base says is taken for right, or what the adapted model says: the first is a loss of everything."""
    config = configure("consolidation/episodic", ["evaluation.max_new_tokens=8"], artifact_root)

    def said(text: str) -> str:
        asked = Question("", "", "", "test", text, "")
        return generate(MODELS[right], [closed_book_prompt(BASE.tokenizer, asked)], max_new_tokens=8)[0].text

    items = [
        SanityQuestion(f"s{i}", "world", "test" if i % 2 else "dev", text, said(text), (), "w")
        for i, text in enumerate(
            f"Where is the {word}?" for word in ("choir", "king", "owl", "harbour", "lamp", "well")
        )
    ]
    asks = [*ASKS, *sanity_asks(items[:2])]
    answers, notes = _answers(MODELS, asks, items, facts(3), config, Silent())
    sane = sanity_summary(answers)
    assert sane is not None and sane["delta"] == (-1.0 if right == "base" else 1.0)
    assert sane["n"] == (4 if right == "base" else 2)  # all three of the development half, and one of the other
    assert len(notes) == (1 if right == "base" else 0)
    assert answers.num_rows == len(ASKS) + 2 * sane["n"]
