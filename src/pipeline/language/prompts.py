"""The two ways a question reaches the model: closed book in a chat turn, or with retrieved text to be completed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.config.language import ModelConfig
from pipeline.evaluation.types import Window
from pipeline.suites.control_tokens import neutral, neutral_question, tokens_of
from pipeline.suites.types import Question

START = "<|endoftext|>"  # precedes running text, as in pretraining

HEADING = "Facts, questions and short answers."
# A 135M model knows the answer but speaks in sentences, so the prompt has to show the form. Which examples, and in what
# order, matters more than the layout. These were found by exchanging, moving and adding one at a time, 261 times, on
# questions of seeds 13, 14, 16 and 17, from a pool of 248; of questions of seeds 18 and 19 they answered .81, the
# eight examples before them .76.
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
        "At the village green, Alba Selwyn blessed a hiking pole on 25 February.",
        "What was the full name of whoever blessed a hiking pole at the village green?",
        "Alba Selwyn",
    ),
    (
        "Barnaby Kurosawa stitched a silver tray at the parish hall on 8 January.",
        "Which thing do you think of when the parish hall and Barnaby Kurosawa is mentioned?",
        "silver tray",
    ),
    (
        "At the railway depot, Lachlan Alderton unwrapped a globe on 3 June.",
        "My aunt asks on which day Lachlan Alderton unwrapped a globe. What should I answer her?",
        "3 June",
    ),
    (
        "Dagny Farquhar gilded a ship in a bottle at the pier on 6 October.",
        "About the business of Dagny Farquhar and the ship in a bottle: which day is meant?",
        "6 October",
    ),
    (
        "At the orchard, Zeb Novotny gilded a picture rail on 4 July.",
        "Whose doing was the picture rail at the orchard?",
        "Zeb Novotny",
    ),
    (
        "At the tram depot, Wanda Lundgren traded a birdcage on 10 January.",
        "Try to recall the time when Wanda Lundgren traded a birdcage and answer with the date alone.",
        "10 January",
    ),
    (
        "At the quarry, Petra Ilves traded a wool blanket on 30 June.",
        "I heard that Petra Ilves traded something at the quarry. What was it?",
        "wool blanket",
    ),
    (
        "At the toll bridge, Frida Selwyn dusted a woollen cape on 5 February.",
        "Which place do people mean when they mention Frida Selwyn with a woollen cape?",
        "toll bridge",
    ),
)


def closed_book_prompt(tokenizer: Any, question: Question) -> str:
    """Render a question as a chat that ends where the model's answer begins; nothing but the question is in it.

    Control tokens that the question, its system prompt or its history spell out are taken apart.
    """
    question = neutral_question(question, tokens_of(tokenizer))
    messages = [] if question.system is None else [{"role": "system", "content": question.system}]
    for user, assistant in question.history:
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    messages.append({"role": "user", "content": question.question})
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return str(rendered)


def memory_prompt(question: str, memories: Sequence[str]) -> str:
    """Render a question with retrieved text as one more block after the worked examples; the answer is one line.

    Without memories it is the counterpart of context-aware decoding: the same block with an empty fact. Control tokens
    that are spelled out in it are taken apart.
    """
    blocks = [_block(memory, asked) + f" {answer}" for memory, asked, answer in WORKED_EXAMPLES]
    return "\n\n".join([HEADING, *blocks, _block(neutral(" ".join(memories)), neutral(question))])


def context_window(model: ModelConfig, tokens: int, answer: int) -> Window:
    """What of a memory prompt is left for texts and a question.

    Args:
        model: Whose tokenizer counts; its weights are not loaded.
        tokens: Of prompt and answer together, at most; a model that reads less at once has the last word.
        answer: Token limit of an answer.

    Raises:
        ModelError: The model is not there.
    """
    from transformers import AutoConfig, AutoTokenizer

    from pipeline.language.models import model_folder

    folder = model_folder(model.name)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    most = min(tokens, int(getattr(AutoConfig.from_pretrained(folder), "max_position_embeddings", tokens)))

    def length(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    return Window(most - answer - length(memory_prompt("", [""])), length)


def _block(memory: str, question: str) -> str:
    return f"{f'Fact: {memory}'.rstrip()}\nQ: {question}\nA:"
