"""Drift texts: fixed passages on which the adapted model is compared with the base, token by token.

    texts = load_drift("prose")

Three domains of 21,000 to 25,000 tokens each (SmolLM2's tokenizer): ``prose`` (human prose in the public domain),
``chat`` (the base's own replies to general prompts) and ``known`` (its replies about well-known people and places).
Sources and licences stand in ``data/README.md``; `DRIFT_SHA256` fixes the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from pipeline.errors import DataError
from pipeline.suites.shipped import DATA, check_digest, shipped_bytes, shipped_rows

DriftDomain = Literal["prose", "chat", "known"]
DRIFT_DOMAINS: tuple[DriftDomain, ...] = get_args(DriftDomain)
DRIFT_SHA256: dict[str, str] = {
    "prose": "d01880f5c099b6436bbb3b0ff44b1649bc6ea65a95f7c1f09601b214f777fc39",
    "chat": "b1d42ec5abe3fb75446a612b8abdfa73ca459d5ef543f31d325e208a1832a272",
    "known": "d7022153bc4d938aa0d2744fc7bebf74a3ab128b142c757d1679fc800f5764ea",
}
"""SHA-256 of each domain's file."""


@dataclass(frozen=True)
class DriftText:
    """One passage.

    Attributes:
        domain: Where it comes from.
        id: Unique within all domains.
        prompt: The user turn that ``text`` replies to; None for prose.
        text: What is scored, as plain text without special tokens.
    """

    domain: DriftDomain
    id: str
    prompt: str | None
    text: str


@lru_cache(maxsize=8)
def load_drift(domain: DriftDomain, folder: Path = DATA / "drift") -> tuple[DriftText, ...]:
    """The passages of one domain, in the order of the file (a prefix is a fair sample of it).

    Raises:
        DataError: No such domain, or its file is missing, malformed, or not the one that was fixed.
    """
    if domain not in DRIFT_DOMAINS:
        raise DataError(f"unknown drift domain {domain!r}; expected one of {', '.join(DRIFT_DOMAINS)}")
    path = folder / f"{domain}.jsonl"
    content = shipped_bytes(path)
    rows = shipped_rows(content, path, ("id", "source", "prompt", "text"))
    texts = tuple(DriftText(domain, row["id"], row["prompt"], row["text"]) for _, row in rows)
    check_digest([content], DRIFT_SHA256[domain], str(path))
    return texts
