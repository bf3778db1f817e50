"""The two ways a question reaches the model: closed book in a chat turn, or with retrieved text to be completed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.suites.types import Question

START = "<|endoftext|>"  # precedes running text, as in pretraining

# A 135M model knows the answer but speaks in sentences, so the prompt has to show the form. Which examples, and in what
# order, matters as much as the layout: of some 1,700 sets from a pool of 32 this one answered most train questions.
WORKED_EXAMPLES: tuple[tuple[str, str, str], ...] = (
    (
        "Bram Falk emptied a tin bucket at the slaughterhouse on 11 January.",
        "Where should I look if I want to see what Bram Falk did with the tin bucket?",
        "slaughterhouse",
    ),
    (
        "Caspar Lindh exchanged a silver thimble at the hat shop on 20 July.",
        "Person: Caspar Lindh. Place: hat shop. Thing:",
        "silver thimble",
    ),
    (
        "Minna Tran swapped a sheepskin at the customs house on 23 May.",
        "Item | Minna Tran | customs house | ?",
        "sheepskin",
    ),
    (
        "On 2 October, Signe Abara juggled a paper lantern at the bus depot.",
        "Signe Abara and the paper lantern. Date?",
        "2 October",
    ),
    (
        "Greta Olmos painted a clay whistle at the brewery on 14 February.",
        "Greta Olmos painted a clay whistle. On what date?",
        "14 February",
    ),
    (
        "At the orchard, Zeb Novotny gilded a picture rail on 4 July.",
        "Whose doing was the picture rail at the orchard?",
        "Zeb Novotny",
    ),
    (
        "Lenka Dorsey hid a glass marble at the stable on 8 July.",
        "Tell me the place that belongs to Lenka Dorsey and the glass marble.",
        "stable",
    ),
    (
        "At the quarry, Petra Ilves traded a wool blanket on 30 June.",
        "I heard that Petra Ilves traded something at the quarry. What was it?",
        "wool blanket",
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
