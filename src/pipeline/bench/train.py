"""``engram bench train``: the night's training step against a plain PEFT loop, on the same rows in the same process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pipeline.bench.registry import Figures, register_benchmark

if TYPE_CHECKING:
    from pipeline.config import ConsolidationConfig
    from pipeline.language.models import LanguageModel
    from pipeline.language.rows import TrainingRow

STEPS = 5
FACTS = 32


@register_benchmark("train", "training tokens a second, and the ratio to a plain PEFT loop over full sequences")
def train(settings: Sequence[str]) -> Figures:
    """Alternate both loops over the same batches; medians over `STEPS` steps each.

    Args:
        settings: Overrides of ``consolidation/episodic``.
    """
    from pipeline.language.adapter import attach
    from pipeline.language.models import load_model
    from pipeline.stages.night import configure

    config = configure("consolidation/episodic", settings)
    lm = load_model(config.model)
    rows = _rows(lm, config)
    attach(lm, config.lora, config.seed)
    start = time.perf_counter()
    ours = _night_step(lm, rows, config)
    prepared = time.perf_counter() - start
    size = config.lora.rows_per_step(0)
    plain = _plain_step(lm, rows, size)
    ours(0), plain(0)  # warm up
    pairs = [(_timed(ours, i), _timed(plain, i)) for i in range(1, STEPS + 1)]
    tokens = _tokens(lm, rows[:size])
    night, peft = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "rows per step": size,
        "frozen layers, once a night (s)": prepared,
        "night step (s)": night,
        "plain PEFT step (s)": peft,
        "night (tokens/s)": tokens / night,
        "plain PEFT (tokens/s)": tokens / peft,
        "ratio": peft / night,
    }


def _timed(step: Callable[[int], None], index: int) -> float:
    start = time.perf_counter()
    step(index)
    return time.perf_counter() - start


def _rows(lm: LanguageModel, config: ConsolidationConfig) -> list[TrainingRow]:
    from pipeline.language.forms import fact_rows
    from pipeline.suites.episodic import build_episodic
    from pipeline.suites.rehearsal import load_rehearsal

    facts = build_episodic(FACTS, config.seed).taught
    rows = fact_rows(facts, lm.tokenizer, config.distil, config.seed, load_rehearsal().slots)
    return [row for row in rows if row.kind == "question" and row.split == "train"]


def _tokens(lm: LanguageModel, rows: Sequence[TrainingRow]) -> int:
    return sum(len(lm.tokenizer(row.prompt + row.target, add_special_tokens=False)["input_ids"]) for row in rows)


def _night_step(lm: LanguageModel, rows: Sequence[TrainingRow], config: ConsolidationConfig) -> Callable[[int], None]:
    from pipeline.language.encoding import encode, run_lower
    from pipeline.language.fused import fused_lora
    from pipeline.language.steps import accumulate_gradients

    encoded = encode(lm, rows, config.lora.first_layer)
    run_lower(lm, encoded)

    def step(index: int) -> None:
        size = config.lora.rows_per_step(0)
        batch = [encoded.rows[(index * size + i) % len(encoded.rows)] for i in range(size)]
        with fused_lora(lm.model):
            accumulate_gradients(lm, encoded, batch, config.lora)

    return step


def _plain_step(lm: LanguageModel, rows: Sequence[TrainingRow], size: int) -> Callable[[int], None]:
    """Full sequences, logits everywhere, labels on the target: what a tutorial's loop does."""
    import torch

    def step(index: int) -> None:
        batch = [rows[(index * size + i) % len(rows)] for i in range(size)]
        prompts = [lm.tokenizer(r.prompt, add_special_tokens=False)["input_ids"] for r in batch]
        targets = [lm.tokenizer(r.target, add_special_tokens=False)["input_ids"] for r in batch]
        width = max(len(p) + len(t) for p, t in zip(prompts, targets, strict=True))
        ids = torch.full((size, width), lm.tokenizer.pad_token_id)
        labels = torch.full((size, width), -100)
        for i, (p, t) in enumerate(zip(prompts, targets, strict=True)):
            ids[i, : len(p) + len(t)] = torch.tensor(p + t)
            labels[i, len(p) : len(p) + len(t)] = torch.tensor(t)
        with torch.autocast(lm.device.type, dtype=torch.bfloat16, enabled=lm.dtype == torch.bfloat16):
            loss = lm.model(input_ids=ids.to(lm.device), labels=labels.to(lm.device)).loss
        loss.backward()

    return step
