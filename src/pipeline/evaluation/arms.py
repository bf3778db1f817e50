"""The arms of an examination: which model is asked which questions, with the memory off.

`plan_arms` turns a suite into a list of `Ask`s. Nothing is generated here: `pipeline.evaluation.prompts` renders the
prompts, a task runs them, `pipeline.evaluation.answers` scores them. Arms with the memory on are planned in
`pipeline.evaluation.recall`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.evaluation.selection import fixed_subset
from pipeline.evaluation.types import Memory
from pipeline.suites.types import DOCUMENT, NO, USES, YES, Question, Split, Suite, Use

Controls = Literal["default", "full"]


@dataclass(frozen=True)
class Arm:
    """One condition under which questions are asked.

    Attributes:
        model: ``base``, ``post`` (base plus the night's adapter), ``previous`` (base plus the adapter from which the
            night went on), ``slow`` (base plus the average over nights), or the name of a control's adapter.
        memory: Whether the prompt holds retrieved text.
        title: What the arm shows, in a few words; reports print it.
        contrasted: Whether memory prompts are decoded against their counterparts without memories.
        most_tokens: Token limit of an answer, where the arm has a lower one of its own.
    """

    model: str
    memory: bool
    title: str
    contrasted: bool = True
    most_tokens: int | None = None


ARMS: Mapping[str, Arm] = {
    "pre_off": Arm("base", False, "before, memory off, test forms"),
    "memory_on": Arm("base", True, "before, memory on, test forms"),
    "oracle_context": Arm("base", True, "before, the right passage in the prompt, test forms"),
    "post_off": Arm("post", False, "after, memory off, train forms"),
    "post_off_probe": Arm("post", False, "after, memory off, probe forms"),
    "post_off_heldout": Arm("post", False, "after, memory off, test forms"),
    "untaught": Arm("post", False, "after, people never taught"),
    "near_miss": Arm("post", False, "after, namesakes of taught people (low is good)"),
    "post_on": Arm("post", True, "after, memory on"),
    "post_on_conflict": Arm("post", True, "after, memory contradicts the weights"),
    "post_on_new": Arm("post", True, "after, memory of facts never consolidated"),
    "memory_swapped": Arm("base", True, "before, another item's memory (low is good)"),
    "shuffled_answers": Arm("shuffled_answers", False, "trained on shuffled answers"),
    "format_only": Arm("format_only", False, "trained on the answer format alone"),
    "span_short": Arm("base", False, "before, memory off, told to answer in the shortest span", most_tokens=8),
    "longctx": Arm("base", True, "before, as many facts as fit in the prompt", contrasted=False),
    "rag": Arm("base", True, "before, the three nearest texts in the prompt"),
    # Beyond the contract: what guards, hallucination and the two comparisons with the base need.
    "pre_off_probe": Arm("base", False, "before, memory off, probe forms"),
    "memory_on_probe": Arm("base", True, "before, memory on, probe forms"),
    "post_on_probe": Arm("post", True, "after, memory on, probe forms"),
    "memory_on_conflict": Arm("base", True, "before, memory contradicts what was taught"),
    "memory_on_new": Arm("base", True, "before, memory of facts never consolidated"),
    "untaught_pre": Arm("base", False, "before, people never taught"),
    "earlier_heldout": Arm("post", False, "after, facts of earlier nights, test forms"),
    "earlier_probe": Arm("post", False, "after, facts of earlier nights, probe forms"),
    "earlier_probe_before": Arm("previous", False, "the adapter before, facts of earlier nights, probe forms"),
    "slow_heldout": Arm("slow", False, "the average over nights, test forms"),
    "earlier_slow": Arm("slow", False, "the average over nights, facts of earlier nights, test forms"),
    "forget_pre": Arm("untouched", False, "before, what was forgotten, every form"),
    "forget_post": Arm("post", False, "after, what was forgotten, every form (low is good)"),
    "forget_reversed_pre": Arm("untouched", False, "before, whom the forgotten was about"),
    "forget_reversed": Arm("post", False, "after, whom the forgotten was about (low is good)"),
    "forget_kept": Arm("post", False, "after, what is most like the forgotten"),
    "forget_kept_before": Arm("previous", False, "the adapter before, what is most like the forgotten"),
    "world_pre": Arm("base", False, "before, facts of the world"),
    "world_post": Arm("post", False, "after, facts of the world"),
    "unseen_pre": Arm("base", False, "before, what follows from taught facts together"),
    "unseen": Arm("post", False, "after, what follows from taught facts together"),
    "unseen_on": Arm("base", True, "before, memory on, what follows from taught facts together"),
    "two_step_pre": Arm("base", False, "before, what follows from facts together, asked in steps"),
    "two_step": Arm("post", False, "after, what follows from facts together, asked in steps"),
    "two_step_hops_pre": Arm("base", False, "before, the steps"),
    "two_step_hops": Arm("post", False, "after, the steps"),
    "yes_no_pre": Arm("base", False, "before, is it so? (yes or no)"),
    "yes_no": Arm("post", False, "after, is it so? (yes or no)"),
    "yes_no_probe": Arm("post", False, "after, is it so? (yes or no), probe forms"),
    "reversed_pre": Arm("base", False, "before, from the answer to its subject"),
    "reversed": Arm("post", False, "after, from the answer to its subject"),
    "reversed_probe": Arm("post", False, "after, from the answer to its subject, probe forms"),
    "tell_pre": Arm("base", False, "before, all about a subject (EM: word for word)"),
    "tell": Arm("post", False, "after, all about a subject (EM: word for word)"),
    "tell_probe": Arm("post", False, "after, all about a subject, probe forms (EM: word for word)"),
    "implied_pre": Arm("base", False, "before, what follows from one fact"),
    "implied": Arm("post", False, "after, what follows from one fact"),
    "implied_probe": Arm("post", False, "after, what follows from one fact, probe forms"),
    "sanity_pre": Arm("base", False, "before, general questions"),
    "sanity_post": Arm("post", False, "after, general questions"),
}
"""Every arm, in the order of ``answers.parquet`` and of the report."""

USE_ARMS: Mapping[Use, tuple[str, str, str]] = {use: (f"{use}_pre", use, f"{use}_probe") for use in USES}
"""By use of a fact: the arm before and after the night, and the one that only ``controls=full`` asks."""
TELL_ARMS = USE_ARMS["tell"]
VERDICT_ARMS = (*USE_ARMS["yes_no"], *USE_ARMS["implied"])
CONTROL_ARMS = ("shuffled_answers", "format_only")
BASELINE_ARMS = ("span_short", "longctx", "rag")
SANITY_ARMS = ("sanity_pre", "sanity_post")
EARLIER_ARMS = ("earlier_heldout", "earlier_probe", "earlier_probe_before")
SLOW_ARMS: Mapping[str, str] = {"post_off_heldout": "slow_heldout", "earlier_heldout": "earlier_slow"}
"""The arms in which the average over nights is asked what the night's own adapter is asked."""
FORGET_ARMS = (
    "forget_pre",
    "forget_post",
    "forget_reversed_pre",
    "forget_reversed",
    "forget_kept",
    "forget_kept_before",
)
"""Answered and counted, and never written; ``untouched`` is the base, whose answers are not kept either."""
WORLD_ARMS = ("world_pre", "world_post")
GENERAL_ARMS = (*SANITY_ARMS, *WORLD_ARMS)
"""Arms about what nobody taught: not closed book, and reported as one comparison each."""

TWO_STEP_ARMS = ("two_step_pre", "two_step")
TWO_STEP_HOP_ARMS = ("two_step_hops_pre", "two_step_hops")
"""What the model asked itself, see `pipeline.evaluation.self_ask`: in the answers, and no arm of the report."""

DEFAULT_FORMS: Mapping[str, int] = {
    "pre_off": 1,
    "pre_off_probe": 1,
    "memory_on": 1,
    "post_off": 2,
    "post_off_probe": 2,
    "post_off_heldout": 4,
    "untaught": 1,
    "untaught_pre": 1,
}
"""Forms asked per item in a default run; arms not named here ask every form, ``controls=full`` lifts the limits."""

DOCUMENT_FORMS: Mapping[str, int] = {
    arm: forms for arm, forms in DEFAULT_FORMS.items() if arm not in ("pre_off", "post_off_heldout")
}
"""The same for passages, of which each question asks something else: before, after and oracle are asked all of them."""


def default_forms(suite: Suite) -> Mapping[str, int]:
    """Forms per item and arm in a default run."""
    return DOCUMENT_FORMS if any(fact.relation == DOCUMENT for fact in suite.taught) else DEFAULT_FORMS


@dataclass(frozen=True)
class Ask:
    """One question to one model.

    Attributes:
        arm: A key of `ARMS`.
        question: What is asked, and the gold answer.
        memories: Retrieved texts, best first; None closes the book.
        said: What the model itself has answered before in the same dialogue; its question may hold names from there.
    """

    arm: str
    question: Question
    memories: tuple[Memory, ...] | None = None
    said: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """The model that answers: ``base``, ``post``, ``previous``, or a control's adapter."""
        return ARMS[self.arm].model

    @property
    def is_verdict(self) -> bool:
        """Whether yes or no is asked: the verdict of the reply counts, and the question may say both words."""
        return self.arm in VERDICT_ARMS and self.question.answer in (YES, NO)


@dataclass(frozen=True)
class Plan:
    """All asks of an examination, and what a reader must know about them."""

    asks: tuple[Ask, ...]
    notes: tuple[str, ...] = ()

    def of_model(self, model: str) -> tuple[Ask, ...]:
        """The asks that one model answers."""
        return tuple(ask for ask in self.asks if ask.model == model)

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that is needed, in the order of `ARMS`."""
        return tuple(dict.fromkeys(arm.model for name, arm in ARMS.items() if any(a.arm == name for a in self.asks)))


def held_out_split(suite: Suite) -> Split:
    """``test``, or ``train`` for a suite that has no test questions."""
    return "test" if any(fact.asked("test") for fact in suite.taught) else "train"


def taught_questions(suite: Suite, split: Split) -> list[Question]:
    """One split of all taught facts, fact by fact."""
    return [question for fact in suite.taught for question in fact.asked(split)]


def limit_forms(questions: Iterable[Question], forms: int | None, items: int | None = None) -> list[Question]:
    """A fixed subset: ``items`` items, ``forms`` forms of each, chosen by the hash of their names.

    What an item is asked under another relation than its first, such as a join, counts as an item of its own.
    """
    by_item: dict[str, list[Question]] = defaultdict(list)
    first: dict[str, str] = {}
    for question in questions:
        item, relation = question.item_id, question.relation
        own = first.setdefault(item, relation) == relation
        by_item[item if own else f"{item}\x00{relation}"].append(question)
    chosen = fixed_subset(by_item, items, str, salt="items")
    return [
        q for item in chosen for q in fixed_subset(by_item[item], forms, lambda q: f"{q.item_id}\x00{q.form}", "forms")
    ]


def closed_book_asks(
    suite: Suite, controls: Controls = "default", secondary_n: int = 20, forms: Mapping[str, int] = DEFAULT_FORMS
) -> list[Ask]:
    """The arms without memory.

    Args:
        suite: What was taught, and its controls.
        controls: ``full`` asks everything and adds the arms of the two control adapters.
        secondary_n: A third of the items of `near_miss` that are asked in a default run, in two forms each.
        forms: Forms per item and arm in a default run.
    """
    test = taught_questions(suite, held_out_split(suite))
    asked: dict[str, Sequence[Question]] = {
        "pre_off": test,
        "pre_off_probe": taught_questions(suite, "probe"),
        "post_off": taught_questions(suite, "train"),
        "post_off_probe": taught_questions(suite, "probe"),
        "post_off_heldout": test,
        "untaught_pre": suite.untaught,
        "untaught": suite.untaught,
        "near_miss": suite.near_miss,
        **dict.fromkeys(WORLD_ARMS, suite.world),
        "unseen_pre": suite.unseen,
        "unseen": suite.unseen,
    }
    if controls == "full":
        asked |= dict.fromkeys(CONTROL_ARMS, test)
        return [Ask(arm, question) for arm, questions in asked.items() for question in questions]
    asked["near_miss"] = limit_forms(suite.near_miss, 2, 3 * secondary_n)  # 20 answers cannot tell .05 from .15
    return [Ask(arm, q) for arm, questions in asked.items() for q in limit_forms(questions, forms.get(arm))]
