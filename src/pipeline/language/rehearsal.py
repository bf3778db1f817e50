"""General rehearsal that the base writes itself: its replies to shipped prompts, computed once and kept by digest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.artifacts import digest_json, read_table, write_table
from pipeline.language.generation import Generation, generate
from pipeline.language.models import LanguageModel, cache_folder

SCHEMA = "replies/1"


@dataclass(frozen=True)
class Reply:
    """What the base answers to one rendered prompt; ``whole`` when it ended by itself."""

    prompt: str
    text: str
    whole: bool


def replies(
    lm: LanguageModel,
    prompts: Sequence[str],
    tokens: int,
    batch_size: int,
    temperature: float = 0.0,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> list[Reply]:
    """The base's replies, cut after ``tokens`` tokens; read from the cache when the same were written before.

    The cache's key holds the base's digest, the prompts and the decoding settings.
    """
    made = kept_generations(lm, prompts, tokens, batch_size, temperature=temperature, seed=seed, progress=progress)
    return [Reply(prompt, g.text, not g.overlong) for prompt, g in zip(prompts, made, strict=True)]


def kept_generations(
    lm: LanguageModel,
    prompts: Sequence[str],
    tokens: int,
    batch_size: int,
    one_line: bool = False,
    against: Sequence[str] | None = None,
    contrast: float = 0.0,
    temperature: float = 0.0,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> list[Generation]:
    """Generations of the untouched base, computed once per digest of model, prompts and settings."""
    settings = [lm.digest, str(lm.dtype), lm.device.type, tokens, batch_size, one_line, temperature, seed]
    if against is not None:
        settings += [contrast, *against]
    path = cache_folder() / "replies" / f"{digest_json([settings, list(prompts)])[:32]}.parquet"
    if path.exists():
        table = read_table(path, SCHEMA)
        if progress:
            progress(len(prompts))
        return [Generation(**row) for row in table.to_pylist()]
    made = generate(
        lm,
        prompts,
        max_new_tokens=tokens,
        batch_size=batch_size,
        one_line=one_line,
        against=against,
        contrast=contrast,
        temperature=temperature,
        seed=seed,
        progress=progress,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, pa.Table.from_pylist([vars(g) for g in made]), SCHEMA, "")
    return made
