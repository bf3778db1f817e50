"""A small examination that the tests of evaluation and report share: eight facts, a store, scripted answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from pipeline.evaluation.answers import score_answers
from pipeline.evaluation.arms import Ask, Plan
from pipeline.evaluation.prompts import render
from pipeline.evaluation.recall import plan_arms
from pipeline.evaluation.sanity import sanity_asks
from pipeline.evaluation.self_ask import composed_questions, self_ask
from pipeline.evaluation.types import Memory, Window
from pipeline.suites.sanity import SanityQuestion
from pipeline.suites.types import Fact, Question, Recall, Suite, SuiteStatistics

PLACES = ("harbour", "mill", "chapel", "market", "tower", "bridge", "garden", "station")
THINGS = ("lantern", "kettle", "violin", "ladder", "compass", "blanket", "teapot", "hammer")
NAMES = ("Mona Hale", "Olaf Reed", "Ines Boyd", "Kurt Lang", "Vera Moss", "Hugo Penn", "Lena Cole", "Arno Webb")
FORMS = {
    "person_place": {
        "train-1": "Where did {name} go?",
        "train-2": "Which place did {name} visit?",
        "probe-1": "At what place was {name}?",
        "test-1": "Name the spot that {name} went to.",
        "test-2": "{name} was seen at the",
        "test-3": "Where could one meet {name}?",
    },
    "person_thing": {
        "train-1": "What did {name} buy?",
        "train-2": "Which thing did {name} get?",
        "probe-1": "What was bought by {name}?",
        "test-1": "Name the object that {name} paid for.",
        "test-2": "{name} came home with a",
        "test-3": "What belongs to {name} now?",
    },
}


@dataclass(frozen=True)
class Reply:
    """One scripted generation."""

    text: str
    new_tokens: int = 3
    overlong: bool = False


def ask_about(item: str, relation: str, name: str, answer: str, splits: Sequence[str]) -> tuple[Question, ...]:
    """The forms of one item; test-3 comes with a system prompt and an earlier turn."""
    questions = []
    for form, template in FORMS[relation].items():
        split = form.split("-")[0]
        if split in splits:
            question = Question(item, relation, f"{relation}/{form}", split, template.format(name=name), answer)
            if form == "test-3":
                question = replace(question, system="Answer briefly.", history=(("Is it raining?", "No."),))
            questions.append(question)
    return tuple(questions)


def small_suite(n: int = 8, splits: Sequence[str] = ("train", "probe", "test")) -> Suite:
    """n facts that alternate between two relations, with every control."""
    facts, untaught, near_miss, conflict, new = [], [], [], [], []
    for i in range(n):
        relation = "person_place" if i % 2 == 0 else "person_thing"
        values = PLACES if i % 2 == 0 else THINGS
        name, answer, other = NAMES[i], values[i], values[(i + 3) % 8]
        text = f"On {i + 1} May, {name} bought a {THINGS[i]} at the {PLACES[i]}."
        asked = ask_about(f"e{i}", relation, name, answer, splits)
        facts.append(Fact(f"e{i}", text, subject=name, relation=relation, questions=asked))
        untaught += ask_about(f"u{i}", relation, f"Tom Q{i}", other, ["test"])
        near_miss += ask_about(f"e{i}", relation, f"{name.split()[0]} X{i}", answer, ["test"])
        first = ask_about(f"e{i}", relation, name, other, ["test"])[0]
        conflict.append(Recall(f"{name} was at the {other} and has the {other}.", first))
        stranger = ask_about(f"n{i}", relation, f"Eva N{i}", answer, ["test"])[0]
        new.append(Recall(f"Eva N{i} took the {answer}.", stranger))
    statistics = SuiteStatistics(
        ceiling=1.0,
        majority={relation: 0.025 for relation in FORMS},
        distinct={relation: n // 2 for relation in FORMS},
        jaccard={f"{relation}/test-{i}": 0.1 * i + 0.1 for relation in FORMS for i in (1, 2, 3)},
    )
    controls = (tuple(untaught), tuple(near_miss), tuple(conflict), tuple(new))
    unseen = ask_about("pair", "person_place", "the neighbour of Tom Q0", PLACES[0], ["test"])
    return Suite("episodic", tuple(facts), (), *controls, statistics, tuple(unseen))


class NameRetriever:
    """Finds the fact whose subject stands in the query, and the first fact of the list otherwise."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self._facts = facts
        self.requests = 0
        self.hits = 0

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[Memory]]:
        self.requests += len(queries)
        self.hits += len(queries)
        return [
            [Memory(f.text, f.id, 1.0) for f in sorted(self._facts, key=lambda f, q=query: f.subject not in q)[:k]]
            for query in queries
        ]


def closed_book_prompt(question: Question) -> str:
    """The question alone, in a ChatML-like template."""
    turns = "".join(f"<|user|>{u}<|assistant|>{a}" for u, a in question.history)
    return f"<|system|>{question.system or 'Be helpful.'}{turns}<|user|>{question.question}<|assistant|>"


def memory_prompt(question: str, memories: Sequence[str]) -> str:
    """Memories, then the question."""
    return "".join(f"Memory: {memory}\n" for memory in memories) + f"Question: {question}\nAnswer:"


def sanity_items(per_cell: int = 3) -> list[SanityQuestion]:
    """Questions in two panels and two halves."""
    return [
        SanityQuestion(f"s-{panel}-{half}-{i}", panel, half, f"Sum {i} of {panel} {half}?", f"number {i}", (), "sums")
        for panel in ("skills", "world")
        for half in ("dev", "test")
        for i in range(per_cell)
    ]


def scripted(ask: Ask) -> Reply:
    """Knows nothing before, the taught facts after, and copies what the memory says."""
    question = ask.question
    if ask.arm.startswith("sanity"):
        return Reply(f"It is {question.answer}.", 5)
    if ask.memories is not None:
        told = " ".join(memory.text for memory in ask.memories)
        return Reply(question.answer if question.answer in told else "Something else.")
    taught = ask.arm in ("post_off", "post_off_probe", "post_off_heldout", "two_step_hops")
    return Reply(f"The {question.answer}." if taught else "I don't know.", 4)


def examine(
    suite: Suite, answer: Callable[[Ask], Reply] = scripted, controls: str = "default"
) -> tuple[Plan, list[str], pa.Table]:
    """Plan, render, answer and score; composed questions in steps as well."""
    window = Window(400, lambda text: len(text.split()))
    plan = plan_arms(suite, NameRetriever(suite.taught), controls=controls, window=window)
    plan = Plan(plan.asks + tuple(sanity_asks(sanity_items())), plan.notes)

    def told(asks: Sequence[Ask]) -> tuple[list[str], list[Reply]]:
        return render(asks, closed_book_prompt, memory_prompt), [answer(ask) for ask in asks]

    prompts, replies = told(plan.asks)
    steps = self_ask(composed_questions(plan.asks), told, suite.taught)
    asks, rendered = (*plan.asks, *steps.asks), (*prompts, *steps.prompts)
    return plan, prompts, score_answers(asks, rendered, (*replies, *steps.replies))
