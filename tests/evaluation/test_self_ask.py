"""Questions in steps, put to scripted models that know single facts, other single facts, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.evaluation.answers import score_answers
from pipeline.evaluation.arms import Ask
from pipeline.evaluation.dialogues import entity, spoken_direction
from pipeline.evaluation.prompts import check_closed_book, holds, render
from pipeline.evaluation.relational import relational_figures
from pipeline.evaluation.self_ask import Answered, composed_questions, self_ask
from pipeline.evaluation.spatial import spatial_figures
from pipeline.suites.chains import HOPS, JOINS, chains
from pipeline.suites.districts import districts
from pipeline.suites.hops import WALK, WAY, Hop, Single, adjacent, direction
from pipeline.suites.maps import DIRECTIONS, direction_aliases
from pipeline.suites.relational import build_relational
from pipeline.suites.spatial import build_spatial
from pipeline.suites.types import Fact, Question, Suite
from tests.evaluation.examples import Reply, closed_book_prompt, memory_prompt

SEED, N = 9, 8
Model = Callable[[Question], str]


def questions(suite: Suite) -> list[Question]:
    """What is asked over several facts, as the two arms that ask it at once have it."""
    tests = [Ask("post_off_heldout", q) for fact in suite.taught for q in fact.asked("test")]
    return composed_questions([*tests, *(Ask("unseen", q) for q in suite.unseen)])


class Conversation:
    """Asks a suite in steps of an ignorant base and of a scripted model; checks every prompt, counts the calls."""

    def __init__(self, suite: Suite, model: Model) -> None:
        self.suite, self._model = suite, model
        self.calls = 0
        self.told: Answered = self_ask(questions(suite), self._answer, suite.taught)
        self.rows = score_answers(self.told.asks, self.told.prompts, self.told.replies)

    def _answer(self, asks: Sequence[Ask]) -> tuple[list[str], list[Reply]]:
        self.calls += 1
        prompts = render(asks, closed_book_prompt, memory_prompt)
        check_closed_book(asks, prompts, {fact.id: fact for fact in self.suite.taught})
        texts = ["I don't know." if ask.model == "base" else self._model(ask.question) for ask in asks]
        return prompts, [Reply(text) for text in texts]

    def asked(self, relation: str) -> list[str]:
        """The single questions that the adapted model was asked about a relation."""
        hops = (ask for ask in self.told.asks if ask.arm == "two_step_hops")
        return [ask.question.question for ask in hops if ask.question.relation == relation]


def single_hops(suite: Suite) -> Model:
    """Knows every taught fact, asked one at a time, and nothing else; with an article and a full stop."""
    known = {(f.relation, f.subject): q.answer for f in suite.taught for q in f.questions[:1]}

    def answer(question: Question) -> str:
        about = [a for (r, subject), a in known.items() if r == question.relation and holds(question.question, subject)]
        return f"The {about[0]}." if about else "Nowhere."

    return answer


def map_of(seed: int, n: int, known: Callable[[str, str], bool] = lambda a, b: True) -> Model:
    """Knows passages of some districts, there and back, in the words in which single steps are asked."""
    told: dict[str, str] = {}
    for dealt in districts(n, seed):
        for a in dealt.district.cells:
            for b in dealt.district.graph[a]:
                way = dealt.district.direction(a, b)
                assert way is not None
                if known(a, b):
                    told |= {
                        Hop("adjacent", {"start": a, "direction": way}, "", i).ask().text: f"the {b}" for i in (0, 1)
                    }
                    told |= {direction(a, b).text: f"To the {way}."}
    return lambda question: told.get(question.question, "nowhere")


def test_a_model_that_knows_single_hops_alone_answers_every_join_in_steps_and_none_at_once() -> None:
    suite = build_relational(N, SEED)
    model = single_hops(suite)
    talk = Conversation(suite, model)
    joins = [q for fact in suite.taught for q in fact.asked("test") if q.relation in JOINS]
    at_once = score_answers(
        asks := [Ask("post_off_heldout", q) for q in joins], [""] * len(asks), [Reply(model(q)) for q in joins]
    )
    figures = relational_figures(at_once)
    assert figures is not None and figures["join"] == 0.0 and "two_step" not in figures
    figures = relational_figures(pa.concat_tables([at_once, talk.rows]), 50)
    assert figures is not None and figures["join"] == 0.0 and figures["two_step"] == 1.0
    assert figures["n"]["two_step"] == figures["n"]["join"] == len(joins) == 6 * 6
    assert figures["ci95"] == {"join": [0.0, 0.0], "two_step": [1.0, 1.0]}
    assert figures["prior"]["two_step"]["mean"] == 0.0 and figures["prior"]["two_step"]["n"] == len(joins)
    assert figures["hops"]["mean"] == 1.0 and figures["hops"]["n"] > 2 * len(joins)


def test_every_hop_of_all_questions_is_asked_in_one_call() -> None:
    suite = build_relational(N, SEED)
    assert Conversation(suite, single_hops(suite)).calls == 3
    assert Conversation(build_spatial(20, SEED), map_of(SEED, 20)).calls == 4


@pytest.mark.parametrize("relation", HOPS[:2])
def test_a_wrong_answer_goes_into_the_next_question_in_place_of_the_right_one(relation: str) -> None:
    suite = build_relational(N, SEED)
    knows = single_hops(suite)
    talk = Conversation(suite, lambda q: "Elsewhere Manor" if q.relation == relation else knows(q))
    whole = [row for row in talk.rows.to_pylist() if row["arm"] == "two_step"]
    assert {row["relation"] for row in whole} == set(JOINS) and not any(row["em"] for row in whole)
    later = talk.asked(HOPS[HOPS.index(relation) + 1])
    assert later and all("Elsewhere Manor" in text for text in later)
    golds = {f.questions[0].answer for f in suite.taught if f.relation == relation and f.questions}
    assert not any(holds(text, gold) for text in later for gold in golds)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), said=st.text(min_size=0, max_size=30))
def test_whatever_a_model_says_no_question_holds_what_it_did_not_say(seed: int, said: str) -> None:
    suite = build_relational(4, seed)
    talk = Conversation(suite, lambda question: said)
    names = {hop.tail for chain in chains(4, seed, 0.3) for hop in chain.hops}
    for relation in HOPS:
        assert not any(holds(text, name) for text in talk.asked(relation) for name in names)
    assert len(talk.asked("store_city")) == (len(talk.asked("person_store")) if entity(said) else 0)


def test_an_empty_answer_ends_the_dialogue_and_counts_as_wrong() -> None:
    suite = build_relational(N, SEED)
    talk = Conversation(suite, lambda question: " \n")
    whole = [row for row in talk.rows.to_pylist() if row["arm"] == "two_step"]
    assert len(whole) == len(questions(suite)) and not talk.asked("store_city")
    assert all(row["em"] == 0.0 and row["answer"] == row["prompt"] == "" for row in whole)


def test_the_answers_hold_every_step_and_the_last_one_is_the_answer_to_the_whole() -> None:
    suite = build_relational(N, SEED)
    rows = Conversation(suite, single_hops(suite)).rows.to_pylist()
    hops = {(row["item_id"], row["form"]): row for row in rows if row["arm"] == "two_step_hops"}
    for row in (row for row in rows if row["arm"] == "two_step"):
        mine = (key for key in sorted(hops) if key[0] == row["item_id"] and key[1].startswith(f"{row['form']}/"))
        own = [hops[key] for key in mine]
        assert len(own) == JOINS[row["relation"]] + 1
        assert (row["prompt"], row["answer"]) == (own[-1]["prompt"], own[-1]["answer"])
        assert all(entity(a["answer"]) in b["prompt"] for a, b in pairwise(own))
        assert all(hop["em"] == 1.0 and hop["gold"] for hop in own)


@pytest.mark.parametrize("leak", ["Norwell", "Port is a city in Norwell."])
def test_what_a_model_said_itself_may_stand_in_its_prompt_and_nothing_else_may(leak: str) -> None:
    text = f"Which country is {leak} in?"
    asked = Question("a", "city_country", "join_country/test-1/hop-03", "test", text, "Norwell")
    facts = {"a": Fact("a", "Port is a city in Norwell.")}
    check_closed_book([Ask("two_step_hops", asked, said=("Sutton", f"So, {leak}"))], [text], facts)
    for said in ((), ("In Sutton.",), *([("Norwell",)] if leak != "Norwell" else [])):
        with pytest.raises(DataError, match="closed book broken"):
            check_closed_book([Ask("two_step_hops", asked, said=said)], [text], facts)


def test_a_model_with_a_map_walks_it_and_finds_first_places() -> None:
    suite = build_spatial(30, SEED)
    talk = Conversation(suite, map_of(SEED, 30))
    rows = talk.rows.to_pylist()
    for relation, per_pair in ((WAY, 1), (WALK, 2)):
        whole = [row for row in rows if row["arm"] == "two_step" and row["relation"] == relation]
        pairs = {row["item_id"] for row in whole}
        assert len(whole) == per_pair * len(pairs) > 0 and all(row["em"] == 1.0 for row in whole)
    hops = [row for row in rows if row["arm"] == "two_step_hops" and row["gold"]]
    assert hops and all(row["em"] == 1.0 for row in hops)
    assert not any(row["em"] for row in rows if row["arm"] == "two_step_pre")


def test_a_map_without_the_second_step_leads_nowhere() -> None:
    chained = {
        pair for dealt in districts(20, SEED) for a, b, c, d in [dealt.district.chain] for pair in ((b, c), (c, d))
    }
    suite = build_spatial(20, SEED)
    gone = {frozenset(pair) for pair in chained}
    talk = Conversation(suite, map_of(SEED, 20, lambda a, b: frozenset((a, b)) not in gone))
    walked = [row for row in talk.rows.to_pylist() if row["arm"] == "two_step" and row["relation"] == WALK]
    assert walked and not any(row["em"] for row in walked)


def test_a_confirmed_way_is_taken_before_one_that_is_named_more_often() -> None:
    pair = next(q for q in build_spatial(10, SEED).unseen if q.relation == WAY)
    start, goal = pair.item_id.split("/")[1:]
    said = {adjacent(start, way).text: "the false rest" for way in DIRECTIONS} | {
        adjacent(start, "west").text: "true mill"
    }
    said |= {adjacent("false rest", way).text: goal for way in DIRECTIONS} | {adjacent("true mill", "east").text: goal}
    confirmed = {direction(start, "true mill").text: "west", direction("true mill", goal).text: "eastward"}

    def first(told: dict[str, str]) -> str:
        def answer(asks: Sequence[Ask]) -> tuple[list[str], list[Reply]]:
            return [""] * len(asks), [Reply(told.get(ask.question.question, "I cannot say.")) for ask in asks]

        told_back = self_ask([pair], answer, ())
        return next(r.text for ask, r in zip(told_back.asks, told_back.replies, strict=True) if ask.arm == "two_step")

    assert first(said | confirmed) == "true mill" and first(said) == "the false rest" and first({}) == ""


def test_figures_of_unseen_pairs_have_both_ways_of_asking() -> None:
    suite = build_spatial(20, SEED)
    talk = Conversation(suite, map_of(SEED, 20))
    held = [q for fact in suite.taught for q in fact.asked("test")]
    asks = [Ask("post_off_heldout", q) for q in held] + [
        Ask(arm, q) for arm in ("unseen", "unseen_pre") for q in suite.unseen
    ]
    at_once = score_answers(asks, [""] * len(asks), [Reply("nowhere") for _ in asks])
    figures = spatial_figures(pa.concat_tables([at_once, talk.rows]), 50)
    assert figures is not None
    pairs = figures["unseen_pairs"]
    for kind in ("next", "walk"):
        assert pairs[kind]["em"] == pairs[kind]["before"] == 0.0 and pairs[kind]["ci95"] == [0.0, 0.0]
        assert pairs[kind]["two_step"]["mean"] == 1.0 and pairs[kind]["two_step_prior"]["mean"] == 0.0
        assert pairs[kind]["hops"]["mean"] == 1.0
    assert "two_step" not in pairs["steps"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Quill Works", "Quill Works"), ("The Quill Works.", "Quill Works"), ('"Quill Works"', "Quill Works"),
        ("Quill Works, Norwell", "Quill Works"), ("the mill. It is old.", "mill"), ("\n mill\nIt", "mill"), ("", ""),
        ("...", ""), ("An apple shed!", "apple shed"), ("Anvil Road", "Anvil Road"),
    ],
)  # fmt: skip
def test_the_name_in_a_free_answer(text: str, name: str) -> None:
    assert entity(text) == name


@pytest.mark.parametrize(
    ("text", "way"),
    [
        *((way, way) for way in DIRECTIONS),
        *((spelling, way) for way in DIRECTIONS for spelling in direction_aliases(way)),
        ("It is North-East of it.", "northeast"),
        ("eastwards, then north", "east"),
        ("Norwell", None),
        ("", None),
    ],
)
def test_the_direction_in_a_free_answer(text: str, way: str | None) -> None:
    assert spoken_direction(text) == way


def test_a_single_question_names_its_subject_as_the_facts_do() -> None:
    assert adjacent("old mill", "north") == Single(
        "adjacent", "north of the old mill", "Which place do I find directly north of the old mill?"
    )
