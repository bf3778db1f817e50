"""Which rows a step trains on, and at which learning rate."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from pipeline.config.language import LoraConfig
from pipeline.language.encoding import EncodedRow, EncodedRows
from pipeline.language.rows import ANCHORED, CONTRAST, GENERAL


def schedule(step: int, steps: int, config: LoraConfig) -> float:
    """Learning rate of a step: linear warm-up, then cosine decay to a tenth of the peak."""
    warm = max(1, round(config.warmup * steps))
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return config.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


def plan_epoch(encoded: EncodedRows, config: LoraConfig, seed: int, epoch: int) -> list[list[EncodedRow]]:
    """The rows of every step of one epoch.

    Each fact gives the next ``forms_per_epoch`` of its questions and one statement, all shuffled; every step adds its
    share of contrast and general rows, which rotate through the night. Memory prompts, one per fact and epoch in turn,
    come together in a few steps, because they share a long prefix.
    """
    learned, opened = _learned_rows(encoded, config, seed, epoch)
    learned = [learned[i] for i in np.random.default_rng([seed, epoch]).permutation(len(learned))]
    steps = [learned[i : i + config.batch_size] for i in range(0, len(learned), config.batch_size)]
    for kinds, ratio in ((CONTRAST, config.contrast_ratio), (GENERAL, config.general_ratio)):
        pool = [row for row in encoded.rows if row.row.kind in kinds]
        share, turn = round(config.batch_size * ratio), np.random.default_rng(seed).permutation(len(pool))
        for index, step in enumerate(steps if pool else []):
            first = (epoch * len(steps) + index) * share
            step += [pool[turn[(first + i) % len(pool)]] for i in range(share)]
    chunks = [opened[i : i + config.batch_size] for i in range(0, len(opened), config.batch_size)]
    for index, chunk in enumerate(chunks if steps else []):
        steps[index * len(steps) // len(chunks)] += chunk
    return steps or chunks


def _learned_rows(
    encoded: EncodedRows, config: LoraConfig, seed: int, epoch: int
) -> tuple[list[EncodedRow], list[EncodedRow]]:
    """Questions and statements of this epoch, and its memory prompts."""
    by_fact: dict[tuple[str, str], list[EncodedRow]] = defaultdict(list)
    for row in encoded.rows:
        if row.row.split == "train" and row.row.kind not in ANCHORED:
            by_fact[row.row.episode_id, row.row.kind].append(row)
    closed: list[EncodedRow] = []
    opened: list[EncodedRow] = []
    for index, ((_, kind), rows) in enumerate(by_fact.items()):
        count = min(len(rows), config.forms_per_epoch if kind == "question" else 1)
        turn = np.random.default_rng([seed, index]).permutation(len(rows))
        chosen = [rows[turn[(epoch * count + i) % len(rows)]] for i in range(count)]
        (opened if kind == "memory" else closed).extend(chosen)
    return closed, opened
