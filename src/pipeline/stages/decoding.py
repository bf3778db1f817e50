"""The models' replies to the prompts of an examination."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pipeline.config import ConsolidationConfig
from pipeline.evaluation.arms import ARMS, TELL_ARMS, Ask
from pipeline.progress import Progress

if TYPE_CHECKING:
    from pipeline.language.generation import Generation
    from pipeline.language.models import LanguageModel


def decode(
    models: Mapping[str, LanguageModel],
    asks: Sequence[Ask],
    prompts: Sequence[str],
    untold: Sequence[str],
    config: ConsolidationConfig,
    progress: Progress,
) -> list[Generation]:
    """Decode model by model, closed book and memory prompts apart; the same settings before and after the night.

    Args:
        models: By name.
        asks: What is asked of whom.
        prompts: Rendered, one an ask.
        untold: The asks' memory prompts without memories, against which memory prompts are decoded; a long context
            is not, so that all of its questions share it.
        config: Section ``evaluation`` has the token limit, the batch size and the weight of the contrast.
        progress: Advances by answers.
    """
    from pipeline.language.generation import generate
    from pipeline.language.rehearsal import kept_generations

    settings, batch = config.evaluation, config.evaluation.batch_size
    alike: dict[tuple[str, bool, bool, int], list[int]] = defaultdict(list)
    for i, ask in enumerate(asks):
        arm, book = ARMS[ask.arm], ask.memories is not None
        limit = settings.tell_tokens if ask.arm in TELL_ARMS else settings.max_new_tokens
        tokens = min(limit, arm.most_tokens or limit)
        alike[ask.model, book, book and arm.contrasted, tokens].append(i)
    found: dict[int, Generation] = {}
    for name, lm in models.items():
        for (model, opened_book, contrasted, tokens), mine in alike.items():
            if model != name:
                continue
            counterparts = {prompts[i]: untold[i] for i in mine}
            unique = list(counterparts)
            answer = (
                partial(kept_generations, lm, unique, tokens, batch)
                if name == "base"
                else partial(generate, lm, unique, max_new_tokens=tokens, batch_size=batch)
            )
            against = list(counterparts.values()) if contrasted else None
            made = answer(one_line=opened_book, against=against, contrast=settings.memory_contrast)
            by_prompt = dict(zip(unique, made, strict=True))
            found |= {i: by_prompt[prompts[i]] for i in mine}
            progress.advance(len(mine))
    return [found[i] for i in range(len(asks))]
