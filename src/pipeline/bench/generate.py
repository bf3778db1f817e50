"""``engram bench generate``: the examination's decoding against transformers' ``generate`` on the same prompts."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pipeline.bench.registry import Figures, register_benchmark

PROMPTS = 64


@register_benchmark("generate", "answers a second in float32, and the ratio to transformers' generate")
def generate(settings: Sequence[str]) -> Figures:
    """Answer the same questions by both, greedily, and count how many answers agree.

    Args:
        settings: Overrides of ``consolidation/episodic``.
    """
    import torch

    from pipeline.language.generation import generate as decode
    from pipeline.language.models import load_for_evaluation
    from pipeline.language.prompts import closed_book_prompt
    from pipeline.stages.night import configure
    from pipeline.suites.episodic import build_episodic

    config = configure("consolidation/episodic", settings)
    lm, limit, size = (
        load_for_evaluation(config.model),
        config.evaluation.max_new_tokens,
        config.evaluation.batch_size,
    )
    questions = [q for fact in build_episodic(PROMPTS // 4, config.seed).taught for q in fact.asked("train")][:PROMPTS]
    prompts = [closed_book_prompt(lm.tokenizer, question) for question in questions]
    decode(lm, prompts[:8], max_new_tokens=2)
    start = time.perf_counter()
    ours = [g.text for g in decode(lm, prompts, max_new_tokens=limit, batch_size=size)]
    own = time.perf_counter() - start
    theirs: list[str] = []
    start = time.perf_counter()
    for first in range(0, PROMPTS, size):
        batch = lm.tokenizer(
            prompts[first : first + size],
            return_tensors="pt",
            padding=True,
            padding_side="left",
            add_special_tokens=False,
        ).to(lm.device)
        with torch.inference_mode():
            made = lm.model.generate(**batch, max_new_tokens=limit, do_sample=False)
        texts = lm.tokenizer.batch_decode(made[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        theirs += [text.strip() for text in texts]
    peer = time.perf_counter() - start
    return {
        "prompts": len(prompts),
        "answers/s": len(prompts) / own,
        "transformers (answers/s)": len(prompts) / peer,
        "ratio": peer / own,
        "same answers": f"{sum(a == b for a, b in zip(ours, theirs, strict=True))} of {len(prompts)}",
    }
