"""Figures of the report from answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.evaluation.answers import score_answers
from pipeline.evaluation.arms import (
    ARMS,
    BASELINE_ARMS,
    CONTROL_ARMS,
    EARLIER_ARMS,
    FORGET_ARMS,
    GENERAL_ARMS,
    SLOW_ARMS,
    TWO_STEP_ARMS,
    TWO_STEP_HOP_ARMS,
    USE_ARMS,
    Ask,
)
from pipeline.evaluation.metrics import arm_summary, pinned_and_rewarded, prior, probe_outcomes, summarise, uplift
from pipeline.evaluation.sanity import (
    hallucination,
    sanity_asks,
    sanity_summary,
    second_look,
    takeover,
    taught_phrases,
)
from tests.evaluation.examples import Reply, examine, sanity_items, scripted, small_suite

SUITE = small_suite()


def answers(answer=scripted, controls="default"):
    return examine(SUITE, answer, controls)[2]


def test_an_arm_reports_means_and_its_forms() -> None:
    def forgets_one_form(ask: Ask) -> Reply:
        if ask.arm == "post_off_heldout" and ask.question.form.endswith("test-3"):
            return Reply("I don't know", 24, True)
        return scripted(ask)

    arm = summarise(answers(forgets_one_form), SUITE, None, resamples=200)["arms"]["post_off_heldout"]
    assert arm["em"] == arm["f1"] == arm["contains"] == pytest.approx(2 / 3)
    assert arm["refusal_rate"] == arm["overlong_rate"] == pytest.approx(1 / 3)
    assert arm["n"] == 24
    assert arm["by_form"]["person_place/test-3"] == {"em": 0.0, "n": 4, "jaccard": pytest.approx(0.4)}
    assert arm["by_form"]["person_thing/test-1"] == {"em": 1.0, "n": 4, "jaccard": pytest.approx(0.2)}
    assert arm["by_relation"]["person_place"] == {"em": pytest.approx(2 / 3), "n": 12}
    low, high = arm["em_ci95"]
    assert 0 < low < 2 / 3 < high < 1


def test_arms_that_were_not_run_are_absent_and_sanity_is_no_arm() -> None:
    arms = summarise(answers(), SUITE, None, resamples=50)["arms"]
    full = {*CONTROL_ARMS, *BASELINE_ARMS}
    not_run = {*full, "oracle_context", *GENERAL_ARMS, *EARLIER_ARMS, *FORGET_ARMS, *TWO_STEP_ARMS, *TWO_STEP_HOP_ARMS}
    not_run |= set(SLOW_ARMS.values())
    not_run |= {probe for _, _, probe in USE_ARMS.values()}
    assert set(arms) == set(ARMS) - not_run
    found = summarise(answers(controls="full"), SUITE, None, resamples=50)["arms"]
    assert full <= set(found)
    assert [found[arm]["em"] for arm in BASELINE_ARMS] == [0.0, 1.0, 1.0]  # the script reads, and knows nothing


def test_unknown_forms_have_no_jaccard() -> None:
    rows = answers().slice(0, 3)
    assert all("jaccard" not in figures for figures in arm_summary(rows, {}, 50)["by_form"].values())


def test_prior_is_the_highest_of_majority_untaught_and_format() -> None:
    def guesses(ask: Ask) -> Reply:
        if ask.arm == "untaught" and ask.question.item_id == "u0":
            return Reply(ask.question.answer)
        if ask.arm == "format_only":
            return Reply(ask.question.answer if ask.question.relation == "person_thing" else "?")
        return scripted(ask)

    assert prior(answers(), SUITE.statistics) == {
        "value": pytest.approx(0.025),
        "by_relation": {"person_place": 0.025, "person_thing": 0.025},
        "source": "majority",
    }
    found = prior(answers(guesses), SUITE.statistics)
    assert found["by_relation"] == {"person_place": 0.25, "person_thing": 0.025}
    assert found["source"] == "untaught and majority"
    assert found["value"] == pytest.approx((0.25 + 0.025) / 2)
    full = prior(answers(guesses, "full"), SUITE.statistics)
    assert full["by_relation"] == {"person_place": 0.25, "person_thing": 1.0}
    assert full["source"] == "untaught and format_only"


def test_pinned_and_rewarded_facts_are_counted_apart() -> None:
    """Of four marked facts one that is both was forgotten; what nobody marked does not count."""
    taught = list(SUITE.taught)
    marks = [{"pin": True}, {"pin": True, "reward": True}, {"reward": True}, {"reward": True}]
    taught[:4] = [replace(fact, **marked) for fact, marked in zip(taught, marks, strict=False)]
    suite = replace(SUITE, taught=tuple(taught))
    lost = {taught[1].id, taught[-1].id}

    def forgetful(ask: Ask) -> Reply:
        return Reply("Hm.") if ask.question.item_id in lost and ask.arm == "post_off_heldout" else scripted(ask)

    found = pinned_and_rewarded(answers(forgetful), suite, 200) or {}
    shares = {name: figure["value"] for name, figure in found.items()}
    assert shares == {"either": pytest.approx(3 / 4), "pinned": pytest.approx(1 / 2), "rewarded": pytest.approx(2 / 3)}
    forms = len(SUITE.taught[0].asked("test"))
    assert {name: figure["n"] for name, figure in found.items()} == {
        "either": 4 * forms, "pinned": 2 * forms, "rewarded": 3 * forms,
    }  # fmt: skip
    low, high = found["either"]["ci95"]  # type: ignore[misc]
    assert 0 <= low < 3 / 4 < high <= 1
    plain = replace(SUITE, taught=tuple(replace(fact, pin=False, reward=False) for fact in taught))
    assert pinned_and_rewarded(answers(), plain) is None and "pinned_and_rewarded" not in summarise(
        answers(), plain, None
    )


def test_uplift_is_over_the_best_control() -> None:
    def lucky(ask: Ask) -> Reply:
        return Reply(ask.question.answer) if ask.arm == "untaught" and ask.question.item_id < "u2" else scripted(ask)

    assert uplift(answers(), 200) == {"em": 1.0, "em_ci95": [1.0, 1.0], "control": "pre_off"}
    found = uplift(answers(lucky), 200)
    assert found["control"] == "untaught"
    assert found["em"] == pytest.approx(0.75)
    assert found["em_ci95"][0] < 0.75 < found["em_ci95"][1] <= 1.0


def test_sanity_counts_what_was_kept_by_panel_and_half() -> None:
    def forgetful(ask: Ask) -> Reply:
        unknown_before = ask.arm == "sanity_pre" and ask.question.item_id.endswith("-2")
        lost = ask.arm == "sanity_post" and ask.question.item_id == "s-world-test-0"
        return Reply("Hm.") if unknown_before or lost else scripted(ask)

    found = sanity_summary(answers(forgetful))
    assert found["n"] == 12
    assert found["pre"] == pytest.approx(8 / 12)
    assert found["post"] == pytest.approx(11 / 12)
    assert found["delta"] == pytest.approx(3 / 12)
    assert found["kept"] == pytest.approx(7 / 8)
    assert found["by_panel"]["world"]["kept"] == pytest.approx(3 / 4)
    assert found["by_panel"]["skills"]["kept"] == 1.0
    assert found["by_half"]["dev"]["n"] == 6


def test_sanity_without_right_answers_keeps_nothing_that_can_be_counted() -> None:
    found = sanity_summary(answers(lambda ask: Reply("Hm.")))
    assert found["kept"] is None
    assert found["delta"] == 0.0


def test_sanity_subset_is_stratified_and_the_same_for_both_models() -> None:
    asks = sanity_asks(sanity_items(10), 8)
    before = [a.question for a in asks if a.arm == "sanity_pre"]
    assert before == [a.question for a in asks if a.arm == "sanity_post"]
    cells = [(q.relation, q.form, q.split) for q in before]
    assert sorted(set(cells)) == [
        (panel, half, split) for panel in ("skills", "world") for half, split in (("dev", "probe"), ("test", "test"))
    ]
    assert all(cells.count(cell) == 2 for cell in cells)
    assert len(sanity_asks(sanity_items(10))) == 80


@pytest.mark.parametrize(
    ("lost", "looks_again"), [(("s-world-dev-0",), True), (("s-world-test-0",), False), ((), False)]
)
def test_a_loss_in_the_sampled_development_half_is_looked_at_again(lost: tuple[str, ...], looks_again: bool) -> None:
    """With the other questions of that half; what the test half lost decides nothing."""
    items = sanity_items(4)
    sample = [item for item in items if not item.id.endswith("-3")]
    asks = sanity_asks(sample)
    wrong = [ask.arm == "sanity_post" and ask.question.item_id in lost for ask in asks]
    said = [Reply("Hm." if w else ask.question.answer) for w, ask in zip(wrong, asks, strict=True)]
    more = second_look(items, score_answers(asks, ["a prompt"] * len(asks), said))
    assert more == (sanity_asks([i for i in items if i.half == "dev" and i not in sample]) if looks_again else [])
    assert {ask.arm for ask in more} == ({"sanity_pre", "sanity_post"} if looks_again else set())


def test_takeover_counts_taught_words_that_the_base_did_not_say() -> None:
    def taken(ask: Ask) -> Reply:
        if ask.question.item_id == "s-world-dev-0":
            return Reply("The harbour.")  # said before and after
        if ask.question.item_id == "s-world-dev-1" and ask.arm == "sanity_post":
            return Reply("Mona Hale, at 1.")
        if ask.question.item_id == "s-world-dev-2" and ask.arm == "sanity_post":
            return Reply("A lanterns shop.")  # not a whole word
        return scripted(ask)

    assert takeover(answers(taken), taught_phrases(SUITE.taught)) == pytest.approx(1 / 12)
    assert takeover(answers(), taught_phrases(SUITE.taught)) == 0.0


def test_hallucination_is_any_taught_answer_about_untaught_people() -> None:
    def confident(ask: Ask) -> Reply:
        if ask.arm == "untaught" and ask.question.item_id in ("u0", "u1"):
            return Reply("At the mill." if ask.question.item_id == "u0" else "At the harbour.")
        return scripted(ask)

    facts = [replace(f, questions=tuple(q for q in f.questions if q.answer == "harbour")) for f in SUITE.taught]
    assert hallucination(answers(confident), facts) == {"pre": 0.0, "post": pytest.approx(2 / 16)}
    assert hallucination(answers().slice(0, 0), facts) == {}


def test_probe_outcomes_are_per_fact() -> None:
    def weak(ask: Ask) -> Reply:
        return Reply("no") if ask.arm == "post_off_probe" and ask.question.item_id == "e3" else scripted(ask)

    assert probe_outcomes(answers(weak)) == {f"e{i}": float(i != 3) for i in range(8)}


def test_what_was_not_measured_is_absent() -> None:
    found = summarise(answers().slice(0, 0), SUITE, None)
    assert set(found) == {"arms", "prior", "notes"}
    assert found["arms"] == {}
    drifted = summarise(answers(), SUITE, {"kl_base": 0.01}, 50, notes=["n"])
    assert drifted["drift"] == {"kl_base": 0.01}
    assert drifted["notes"] == ["n"]
    assert drifted["refusal_rate"] == 0.0
