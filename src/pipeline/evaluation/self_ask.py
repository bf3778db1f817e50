"""Questions over several facts, asked in steps: each answer of the model goes into its next question, memory off.

Self-ask (Press et al. 2023, "Measuring and narrowing the compositionality gap in language models", arXiv:2210.03350).
A program that knows the schema (`pipeline.suites.hops`, `pipeline.evaluation.dialogues`) takes the composed question
apart; every name between is what the model said, never a gold answer. All questions that are open at a time are asked
together, of the model before the night and of the one after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.evaluation.arms import TWO_STEP_ARMS, TWO_STEP_HOP_ARMS, Ask
from pipeline.evaluation.dialogues import Turn, dialogue_of
from pipeline.evaluation.scoring import normalise
from pipeline.evaluation.types import Generated
from pipeline.suites.hops import CHAINED, WAY, Single
from pipeline.suites.types import Fact, Question

Answerer = Callable[[Sequence[Ask]], tuple[Sequence[str], Sequence[Generated]]]
"""Renders asks and lets their models answer: prompts and replies."""
_Golds = Mapping[tuple[str, str], Question]


@dataclass(frozen=True)
class Silence:
    """The reply where there was nothing to ask any more."""

    text: str = ""
    new_tokens: int = 0
    overlong: bool = False


@dataclass(frozen=True)
class Answered:
    """Asks with their rendered prompts and replies, in the same order."""

    asks: tuple[Ask, ...]
    prompts: tuple[str, ...]
    replies: tuple[Generated, ...]


def composed_questions(asks: Iterable[Ask]) -> list[Question]:
    """The closed-book questions over several facts that are asked after the night, each once."""
    found: dict[tuple[str, str], Question] = {}
    for question in (ask.question for ask in asks if ask.arm in ("post_off_heldout", "unseen")):
        if question.relation in (*CHAINED, WAY):
            wording = "" if question.relation == WAY else question.form  # every form of a way is looked for alike
            found.setdefault((question.item_id, wording), question)
    return list(found.values())


def self_ask(questions: Sequence[Question], answer: Answerer, taught: Iterable[Fact]) -> Answered:
    """Ask composed questions in steps, of the base and of the adapted model.

    Args:
        questions: Joins, and what is asked about unseen pairs of places.
        answer: Called once for all hops that are open at a time.
        taught: What is right for single questions; hops are scored by it, and nothing else reads it.

    Returns:
        Of every hop an ask of `TWO_STEP_HOP_ARMS`, and of every composed question one of `TWO_STEP_ARMS`, whose
        prompt and reply are those of the hop that answers it; both are empty where the hops led to no answer.
    """
    golds = {
        (fact.relation, normalise(fact.subject)): question
        for fact in taught
        for question in fact.questions[:1]
        if question.relation == fact.relation
    }
    talks = [_Talk(q, *arms) for arms in zip(TWO_STEP_ARMS, TWO_STEP_HOP_ARMS, strict=True) for q in questions]
    told: list[tuple[Ask, str, Generated]] = []
    while speaking := [talk for talk in talks if talk.open]:
        asks = [ask for talk in speaking for ask in talk.asks(golds)]
        prompts, replies = answer(asks)
        told += zip(asks, prompts, replies, strict=True)
        heard = iter(zip(prompts, replies, strict=True))
        for talk in speaking:
            talk.hear([next(heard) for _ in talk.open])
    told += [talk.whole() for talk in talks]
    return Answered(*(tuple(part) for part in zip(*told, strict=True))) if told else Answered((), (), ())


class _Talk:
    """One composed question put to one model, hop by hop."""

    def __init__(self, question: Question, whole: str, single: str) -> None:
        self._question, self._whole, self._single = question, whole, single
        self._dialogue = dialogue_of(question)
        self._turns: list[Turn] = []
        self._outcome: Turn | None = None
        self.open: list[Single] = []
        self._advance(None)

    def asks(self, golds: _Golds) -> list[Ask]:
        """The open questions; each has its own gold where it is about a taught fact, for scoring alone."""
        said, begun = tuple(turn.reply.text for turn in self._turns), len(self._turns) + 1
        asks = []
        for number, single in enumerate(self.open, start=begun):
            gold = golds.get((single.relation, normalise(single.subject)))
            asked = Question(
                item_id=self._question.item_id,
                relation=single.relation,
                form=f"{self._question.form}/hop-{number:02d}",
                split="test",
                question=single.text,
                answer=gold.answer if gold else "",
                aliases=gold.aliases if gold else (),
            )
            asks.append(Ask(self._single, asked, said=said))
        return asks

    def hear(self, heard: Sequence[tuple[str, Generated]]) -> None:
        """Prompts and replies of the open questions, and what they lead to."""
        turns = [Turn(single, *said) for single, said in zip(self.open, heard, strict=True)]
        self._turns += turns
        self._advance(turns)

    def _advance(self, turns: Sequence[Turn] | None) -> None:
        try:
            self.open = list(next(self._dialogue) if turns is None else self._dialogue.send(turns))
        except StopIteration as end:
            self.open, self._outcome = [], end.value

    def whole(self) -> tuple[Ask, str, Generated]:
        """The composed question with the reply that answers it; an empty one where none does."""
        ask, turn = Ask(self._whole, self._question), self._outcome
        return (ask, "", Silence()) if turn is None else (ask, turn.prompt, turn.reply)
