"""Control tokens that texts from outside spell out: taken apart, so that no tokenizer reads them as its own.

A note may say ``<file_sep>`` or ``[INST]``. To a tokenizer that has such a token this would be the token itself: the
end of a turn, or of the text. A space after the first character keeps it readable, and makes ordinary tokens of it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

from pipeline.suites.types import Fact, Question

KNOWN = re.compile(
    r"<\|[^|<>\n]{1,64}\|>|<｜[^｜<>\n]{1,64}｜>"  # ChatML, Llama 3, Phi, StarCoder; DeepSeek
    r"|</?s>|<(?:pad|unk|bos|eos|mask|cls|sep)>|\[(?:CLS|SEP|PAD|MASK|UNK)\]"  # Llama 2, T5; BERT, which encodes
    r"|\[/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT)\]|<</?SYS>>"  # Mistral
    r"|<(?:start|end)_of_turn>|</?(?:think|tool_call|tool_response)>"  # Gemma; Qwen
    r"|<(?:repo_?name|file_sep|filename|gh_stars|issue_(?:start|comment|closed)|empty_output"
    r"|jupyter_(?:start|text|code|output|script)|fim_(?:prefix|middle|suffix|pad))>"  # SmolLM2 and StarCoder
)
"""Control tokens of the model families that Engram can run, and of its sentence encoder."""


@lru_cache(maxsize=8)
def tokens_of(tokenizer: Any) -> re.Pattern[str]:
    """The special tokens of a tokenizer, beside the known ones."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    own = {str(token.content) for token in added if token.special} | set(getattr(tokenizer, "all_special_tokens", ()))
    spelled = sorted((token for token in own if len(token) > 1), key=len, reverse=True)
    return re.compile("|".join([*map(re.escape, spelled), KNOWN.pattern]))


def neutral(text: str, tokens: re.Pattern[str] = KNOWN) -> str:
    """The text with a space inside of every control token; any other text is returned as it is."""
    return tokens.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def neutral_question(question: Question, tokens: re.Pattern[str]) -> Question:
    """A question of which no part spells a control token; the same object where none does."""
    changed: dict[str, Any] = {
        "question": neutral(question.question, tokens),
        "answer": neutral(question.answer, tokens),
        "system": None if question.system is None else neutral(question.system, tokens),
        "history": tuple((neutral(said, tokens), neutral(reply, tokens)) for said, reply in question.history),
    }
    same = all(getattr(question, name) == value for name, value in changed.items())
    return question if same else replace(question, **changed)


def neutral_fact(fact: Fact, tokens: re.Pattern[str]) -> Fact:
    """A fact of which no text spells a control token; the same object where none does."""
    changed: dict[str, Any] = {
        "text": neutral(fact.text, tokens),
        "statements": tuple(neutral(statement, tokens) for statement in fact.statements),
        "questions": tuple(neutral_question(question, tokens) for question in fact.questions),
    }
    same = all(getattr(fact, name) == value for name, value in changed.items())
    return fact if same else replace(fact, **changed)
