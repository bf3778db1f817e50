"""Which questions each arm asks, and with which memories."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from pipeline.evaluation.arms import ARMS, BASELINE_ARMS, TWO_STEP_ARMS, TWO_STEP_HOP_ARMS, Ask, Plan, limit_forms
from pipeline.evaluation.recall import (
    BASELINE_FORMS,
    BASELINE_ITEMS,
    SHORTEST_SPAN,
    is_plain,
    long_context,
    plan_arms,
    retrieval_usage,
)
from pipeline.evaluation.scoring import mentions
from pipeline.evaluation.types import Memory, Window
from pipeline.suites.documents import suite_of_documents
from pipeline.suites.types import DOCUMENT, Fact, Question, Suite
from tests.evaluation.examples import NameRetriever, examine, small_suite

EVERY_RUN = {
    "pre_off", "memory_on", "post_off", "post_off_probe", "post_off_heldout", "untaught",
    "near_miss", "post_on", "post_on_conflict", "post_on_new", "memory_swapped",
}  # fmt: skip


def planned(suite: Suite, **options: object) -> Plan:
    return plan_arms(suite, NameRetriever(suite.taught), **options)  # type: ignore[arg-type]


def by_arm(plan: Plan) -> dict[str, list[Ask]]:
    arms: dict[str, list[Ask]] = defaultdict(list)
    for ask in plan.asks:
        arms[ask.arm].append(ask)
    return arms


def test_every_contract_arm_is_asked_in_its_split() -> None:
    arms = by_arm(planned(small_suite()))
    assert set(arms) >= EVERY_RUN
    splits = {arm: {ask.question.split for ask in asks} for arm, asks in arms.items()}
    assert splits["post_off"] == {"train"}
    assert {arm for arm, s in splits.items() if s == {"probe"}} == {
        "post_off_probe", "pre_off_probe", "memory_on_probe", "post_on_probe",
    }  # fmt: skip
    assert all(splits[arm] == {"test"} for arm in EVERY_RUN - {"post_off", "post_off_probe"})
    assert len(arms["post_off_heldout"]) == 24
    assert len(arms["pre_off"]) == 8  # one form per item


def test_full_controls_ask_everything() -> None:
    arms = by_arm(planned(small_suite(), controls="full", secondary_n=2))
    assert {"shuffled_answers", "format_only"} <= set(arms)
    assert len(arms["near_miss"]) == len(arms["untaught"]) == len(arms["format_only"]) == 24
    assert len(arms["memory_on"]) == len(arms["post_on"]) == len(arms["memory_swapped"]) == 16  # plain forms
    assert len(arms["post_on_conflict"]) == len(arms["post_on_new"]) == 8


def test_secondary_arms_are_a_fixed_subset() -> None:
    suite = small_suite()
    arms = by_arm(planned(suite, secondary_n=2))
    for arm in ("post_on", "post_on_conflict", "post_on_new", "memory_swapped", "post_on_probe"):
        assert max(Counter(ask.question.item_id for ask in arms[arm]).values()) == 1
        assert len(arms[arm]) == 2
    assert sorted(Counter(ask.question.item_id for ask in arms["near_miss"]).values()) == [2] * 6
    assert {a.question for a in arms["post_on"]} == {a.question for a in arms["memory_swapped"]}
    reversed_suite = replace(suite, taught=suite.taught[::-1], near_miss=suite.near_miss[::-1])
    again = by_arm(planned(reversed_suite, secondary_n=2))
    assert {a.question for a in again["near_miss"]} == {a.question for a in arms["near_miss"]}
    assert {a.question for a in again["post_on"]} == {a.question for a in arms["post_on"]}


def test_models_follow_the_arm() -> None:
    plan = planned(small_suite(), controls="full", window=Window(400, words))
    assert plan.models == ("base", "post", "shuffled_answers", "format_only")
    assert {ask.arm for ask in plan.of_model("format_only")} == {"format_only"}
    assert sum(len(plan.of_model(model)) for model in plan.models) == len(plan.asks)
    unplanned = ("sanity_pre", "world_pre", "oracle_context", *TWO_STEP_ARMS, *TWO_STEP_HOP_ARMS)
    assert {a.arm for a in plan.of_model("base")} == {
        arm for arm in ARMS if ARMS[arm].model == "base" and arm not in unplanned
    }


def test_both_models_are_asked_every_fact_of_the_world() -> None:
    world = tuple(Question(f"w{i}", "world", "world", "test", f"Which is {i}?", "it") for i in range(30))
    arms = by_arm(planned(replace(small_suite(), world=world), secondary_n=2))
    assert [ask.question for ask in arms["world_pre"]] == [ask.question for ask in arms["world_post"]] == list(world)


def test_memory_arms_ask_plain_forms_and_closed_arms_hold_no_memory() -> None:
    for ask in planned(small_suite(), controls="full").asks:
        assert (ask.memories is not None) == ARMS[ask.arm].memory
        assert ask.memories is None or (is_plain(ask.question) and ask.memories)


def test_retrieved_memory_is_the_items_own_and_swapped_memory_never_holds_the_gold() -> None:
    suite = small_suite()
    texts = {fact.id: fact.text for fact in suite.taught}
    relations = {fact.id: fact.relation for fact in suite.taught}
    for ask in planned(suite, controls="full", k=2).asks:
        first = (ask.memories or [None])[0]
        if ask.arm in ("memory_on", "post_on"):
            assert first.text == texts[ask.question.item_id]
        if ask.arm == "memory_swapped":
            assert first.episode_id != ask.question.item_id
            assert relations[first.episode_id] == ask.question.relation
            assert not any(mentions(m.text, ask.question.answer) for m in ask.memories)


def test_conflict_and_new_get_their_own_text() -> None:
    suite = small_suite()
    texts = {(r.question.item_id, r.memory) for r in (*suite.conflict, *suite.new)}
    told = [a for a in planned(suite, controls="full").asks if "conflict" in a.arm or a.arm.endswith("_new")]
    assert len(told) == 32
    assert all((ask.question.item_id, ask.memories[0].text) in texts for ask in told)


def test_a_lonely_fact_cannot_be_swapped_and_the_plan_says_so() -> None:
    plan = planned(small_suite(n=1))
    assert "memory_swapped" not in by_arm(plan)
    assert "memory_swapped leaves out 1" in " ".join(plan.notes)


def test_without_test_questions_the_train_ones_are_asked_and_the_plan_says_so() -> None:
    plan = planned(small_suite(splits=("train", "probe")))
    arms = by_arm(plan)
    assert {ask.question.split for ask in arms["pre_off"] + arms["post_off_heldout"]} == {"train"}
    assert "no test questions" in plan.notes[0]
    assert planned(small_suite()).notes == ()


def test_limit_forms_takes_some_forms_of_some_items() -> None:
    questions = [q for fact in small_suite().taught for q in fact.questions]
    chosen = limit_forms(questions, 2, 5)
    assert sorted(Counter(q.item_id for q in chosen).values()) == [2] * 5
    assert limit_forms(questions, None) == questions


def test_an_item_that_is_asked_under_two_relations_counts_as_two() -> None:
    own = [q for fact in small_suite().taught for q in fact.questions]
    joins = [replace(q, relation="join") for q in own]
    chosen = limit_forms([*own, *joins], 2)
    assert Counter((q.item_id, q.relation == "join") for q in chosen) == Counter(
        {(q.item_id, join): 2 for q in own for join in (False, True)}
    )
    assert [q for q in chosen if q.relation != "join"] == limit_forms(own, 2)


def test_usage_counts_every_episode_of_a_memory_that_joins_several() -> None:
    probe = next(q for fact in small_suite().taught for q in fact.asked("probe"))
    joined = Memory("One. Two.", "a", 1.0, ("b",))
    asks = [Ask("memory_on_probe", probe, (joined,)), Ask("post_on_probe", probe, (joined,))]
    assert retrieval_usage(asks) == {"a": 1, "b": 1}


def test_usage_counts_probe_retrievals_alone() -> None:
    suite = small_suite()
    plan = planned(suite, secondary_n=3)
    probed = {ask.question.item_id for ask in plan.asks if ask.arm == "memory_on_probe"}
    assert retrieval_usage(plan.asks) == dict.fromkeys(sorted(probed), 1)


def test_arms_are_planned_the_same_twice() -> None:
    assert examine(small_suite())[0] == examine(small_suite())[0]


@pytest.mark.parametrize("arm", sorted(ARMS))
def test_every_arm_has_a_title(arm: str) -> None:
    assert ARMS[arm].title


def passages(*titles: str) -> list[Fact]:
    return [
        Fact(f"p{i}", f"Text {i} has a key{i} and a lock{i}.", subject=title, relation=DOCUMENT, questions=tuple(
            Question(f"p{i}", DOCUMENT, f"document/test-{n}", "test", f"{title}: Which {word} in {i}?", f"{word}{i}")
            for n, word in enumerate(("key", "lock"))
        ))
        for i, title in enumerate(titles)
    ]  # fmt: skip


def test_every_question_about_a_passage_is_asked_before_after_and_with_the_passage() -> None:
    suite = suite_of_documents(passages("A", "A", "B", "C"), 0, 3)
    arms = by_arm(planned(suite, secondary_n=2))
    texts = {fact.id: fact.text for fact in suite.taught}
    everything = [q for fact in suite.taught for q in fact.questions]
    for arm in ("pre_off", "post_off_heldout", "oracle_context"):
        assert [ask.question for ask in arms[arm]] == everything
    assert all([m.text for m in ask.memories or ()] == [texts[ask.question.item_id]] for ask in arms["oracle_context"])
    assert "oracle_context" not in by_arm(planned(small_suite()))


def test_a_swapped_passage_is_another_titles_as_it_stands() -> None:
    suite = suite_of_documents(passages("A", "A", "B", "C"), 0, 3)
    swapped = by_arm(planned(suite, controls="full"))["memory_swapped"]
    titles = {fact.text: fact.subject for fact in suite.taught}
    assert len(swapped) == 6
    for ask in swapped:
        (memory,) = ask.memories or ()
        assert titles[memory.text] != ask.question.question.split(":")[0] and ask.question.answer not in memory.text


def words(text: str) -> int:
    return len(text.split())


def test_baselines_are_the_base_told_to_be_short_with_a_long_context_and_with_several_texts() -> None:
    suite = small_suite()
    arms = by_arm(planned(suite, controls="full", window=Window(400, words)))
    assert not set(BASELINE_ARMS) & set(by_arm(planned(suite, window=Window(400, words))))
    plain = [ask.question for ask in arms["memory_on"]]
    assert [ask.question for ask in arms["rag"]] == [ask.question for ask in arms["longctx"]] == plain
    assert [replace(ask.question, system=None) for ask in arms["span_short"]] == plain
    assert {(ask.question.system, ask.memories) for ask in arms["span_short"]} == {(SHORTEST_SPAN, None)}
    assert {len(ask.memories or ()) for ask in arms["rag"]} == {3}
    texts = [fact.text for fact in suite.taught]
    assert all([memory.text for memory in ask.memories or ()] == texts for ask in arms["longctx"])


def test_an_answer_that_the_instruction_holds_is_left_out_of_it() -> None:
    suite = small_suite()
    first, *others = suite.taught
    asked = tuple(replace(q, answer="No") for q in first.questions)
    plan = planned(replace(suite, taught=(replace(first, questions=asked), *others)), controls="full")
    found = {ask.question.item_id for ask in by_arm(plan)["span_short"]}
    assert found == {fact.id for fact in others}


def test_a_long_context_takes_the_facts_that_fit_and_says_how_many() -> None:
    suite = small_suite()
    longest = max(words(q.question) for fact in suite.taught for q in fact.asked("test") if is_plain(q))
    room = longest + sum(words(fact.text) for fact in suite.taught[:3])  # every text is as long as the others
    plan = planned(suite, controls="full", window=Window(room, words))
    asks = by_arm(plan)["longctx"]
    assert len(asks) == 16 and len({ask.memories for ask in asks}) == 1
    kept = [memory.episode_id for memory in asks[0].memories or ()]
    assert len(kept) == 3 and kept == sorted(kept)
    assert "longctx: 3 of 8 taught facts fit" in " ".join(plan.notes)
    fewer = long_context(
        suite.taught, [asks[0].question], Window(words(asks[0].question.question) + words(suite.taught[0].text), words)
    )
    assert {memory.episode_id for memory in fewer} <= set(kept) and len(fewer) == 1
    none = planned(suite, controls="full", window=Window(longest, words))
    assert "longctx" not in by_arm(none) and "longctx: 0 of 8" in " ".join(none.notes)


def test_baselines_of_a_large_suite_are_asked_a_part_of_it() -> None:
    facts = tuple(
        Fact(f"b{i}", f"B{i} is in C{i}.", subject=f"B{i}", relation="place", questions=tuple(
            Question(f"b{i}", "place", f"place/test-{k}", "test", f"Where{k} is B{i}?", f"C{i}") for k in range(4)
        ))
        for i in range(BASELINE_ITEMS + 30)
    )  # fmt: skip
    suite = replace(small_suite(), taught=facts)
    arms = by_arm(planned(suite, controls="full", window=Window(90, words)))
    for arm in BASELINE_ARMS:
        assert len(arms[arm]) == BASELINE_ITEMS * BASELINE_FORMS
    passages = tuple(replace(fact, relation=DOCUMENT) for fact in facts)
    arms = by_arm(planned(replace(suite, taught=passages), controls="full"))
    assert len(arms["rag"]) == 4 * BASELINE_ITEMS
