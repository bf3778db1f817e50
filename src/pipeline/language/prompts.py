"""The two ways a question reaches the model: closed book in a chat turn, or with retrieved text to be completed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.suites.types import Question

START = "<|endoftext|>"  # precedes running text, as in pretraining

# A 135M model knows the answer but speaks in sentences, so the prompt has to show the form. Which examples, and in what
# order, matters as much as the layout: of some 120 draws from a pool of sixteen this one answered most probe questions.
WORKED_EXAMPLES: tuple[tuple[str, str, str], ...] = (
    (
        "At the quarry, Petra Ilves traded a wool blanket on 30 June.",
        "I heard that Petra Ilves traded something at the quarry. What was it?",
        "wool blanket",
    ),
    (
        "At the ferry landing, Rolf Amundsen borrowed a bread knife on 19 August.",
        "Rolf Amundsen, bread knife: when?",
        "19 August",
    ),
    (
        "On 28 July, Cormac Vale mended a rope swing at the windmill.",
        "Which object did Cormac Vale mend at the windmill?",
        "rope swing",
    ),
    (
        "On 5 May, Ines Okafor weighed a brass bell at the tea house.",
        "Complete: On 5 May, Ines Okafor weighed a ...",
        "brass bell",
    ),
    (
        "Lenka Dorsey hid a glass marble at the stable on 8 July.",
        "Tell me the place that belongs to Lenka Dorsey and the glass marble.",
        "stable",
    ),
    (
        "Tove Marchetti bought a copper kettle at the pawn shop on 1 September.",
        "Someone bought a copper kettle at the pawn shop. Who?",
        "Tove Marchetti",
    ),
    (
        "Greta Olmos painted a clay whistle at the brewery on 14 February.",
        "Greta Olmos painted a clay whistle. On what date?",
        "14 February",
    ),
    (
        "On 21 September, Amadou Keller polished a tin trumpet at the gatehouse.",
        "By whom was the tin trumpet polished at the gatehouse?",
        "Amadou Keller",
    ),
)


def closed_book_prompt(tokenizer: Any, question: Question) -> str:
    """Render a question as a chat that ends where the model's answer begins; nothing but the question is in it."""
    messages = [] if question.system is None else [{"role": "system", "content": question.system}]
    for user, assistant in question.history:
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    messages.append({"role": "user", "content": question.question})
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return str(rendered)


def memory_prompt(question: str, memories: Sequence[str]) -> str:
    """Render a question with retrieved text as one more block after the worked examples; the answer is one line."""
    blocks = [_block(memory, asked) + f" {answer}" for memory, asked, answer in WORKED_EXAMPLES]
    return "\n\n".join([*blocks, _block(" ".join(memories), question)])


def _block(memory: str, question: str) -> str:
    return f"Fact: {memory}\nQ: {question}\nA:"
