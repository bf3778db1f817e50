"""Pre-training of the byte model with its memory: text, streams of facts to recall, arithmetic, single facts.

losses = pretrain(model, corpus.train, config.pretrain, seed)

Text, arithmetic and single facts are learned from the weights and the window alone, streams with the memory. All facts
have keys of the part ``train``, so that no fact of validation or test is ever seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pipeline.config.sleepwake import PretrainConfig
from pipeline.errors import TrainingError
from pipeline.sleepwake.arithmetic import Problem, problems
from pipeline.sleepwake.byte_training import along_text, byte_optimizer, learning_rate, windows
from pipeline.sleepwake.facts import draw_keys, random_value
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.streams import Place, Streams, packed, recall_streams
from pipeline.sleepwake.text import Bytes

Told = Callable[[int, dict[str, float]], None]
_FADING = 0.95  # of the running mean of the loss of answers, a step


def losses_of(model: SleepWakeModel, values: Tensor, memory: bool) -> Tensor:
    """Nats of every byte, (B, L), for byte values (B, L)."""
    logits = model.of_bytes(values, memory)
    return cross_entropy(logits.flatten(0, 1), values.flatten(), reduction="none").view(values.shape)


def nats(model: SleepWakeModel, text: Bytes, memory: bool = False) -> float:
    """Mean loss over a text (N,), every byte counted once."""
    return float(along_text(model, text, lambda _, values: losses_of(model, values, memory)).double().mean())


def pretrain(
    model: SleepWakeModel,
    text: Bytes,
    config: PretrainConfig,
    seed: int,
    told: Told = lambda step, losses: None,
    memory: bool = True,
) -> list[dict[str, float]]:
    """Train in place, on the device of the model.

    Args:
        model: With or without knowledge.
        text: uint8 (N,).
        config: The optimiser and the mixture.
        seed: Of everything that is drawn.
        told: Called with each step and its losses.
        memory: Whether streams are read with the memory; false trains a model of the window alone.

    Returns:
        ``loss``, ``loss.text``, ``loss.answers`` of every step, before it.

    Raises:
        TrainingError: A loss is not finite.
    """
    generator, device = np.random.default_rng([seed, *b"pretrain"]), model.embedding.weight.device
    known = _problems(config, seed)
    optimizer = byte_optimizer(model, config.lr, config.weight_decay, config.optimizer)
    rows = list[dict[str, float]]()
    near: Place = "near"
    answers = math.inf
    model.train()
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config)
        plain = plain_rows(text, config, known, generator).to(device)
        loss = text_loss = losses_of(model, plain, memory=False).mean()
        figures = {"loss.text": text_loss}
        if config.streams:
            share = config.near_share
            drawn = recall_streams(generator, text, "train", config.stream, config.streams, share, near)
            streamed, figures["loss.answers"] = stream_loss(model, drawn, config, memory)
            loss = loss + config.stream_weight * streamed
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        row = {"loss": float(loss.detach())} | {name: float(value.detach()) for name, value in figures.items()}
        if not math.isfinite(row["loss"]):
            raise TrainingError(f"step {step}: the loss is {row['loss']}; lower pretrain.lr={config.lr}")
        if config.streams:
            found = row["loss.answers"]
            answers = found if math.isinf(answers) else _FADING * answers + (1 - _FADING) * found
            if answers < config.scattered_below:
                near = "scattered"  # for good: what is told in one place is the easier beginning
        rows.append(row)
        told(step, row)
    return rows


def stream_loss(model: SleepWakeModel, drawn: Streams, config: PretrainConfig, memory: bool) -> tuple[Tensor, Tensor]:
    """Weighted mean loss of streams, and the mean loss of their answers."""
    device = model.embedding.weight.device
    told, asked = drawn.told.to(device), drawn.asked.to(device)
    losses = losses_of(model, drawn.values.to(device), memory)
    weights = torch.ones_like(losses).masked_fill(told, config.told_weight).masked_fill(asked, config.answer_weight)
    return (losses * weights).sum() / weights.sum(), losses[asked].mean()


def plain_rows(text: Bytes, config: PretrainConfig, known: list[Problem], generator: np.random.Generator) -> Tensor:
    """Byte values (B, L) that are learned without the memory: text, then arithmetic, then single facts."""
    rows = [windows(text, config.batch, config.text_length, generator)]
    for _ in range(config.arithmetic_rows):
        chosen = generator.integers(len(known), size=config.text_length // 4)
        lines = [f"{known[number].question}{known[number].answer};" for number in chosen]
        rows.append(torch.from_numpy(packed(lines, config.text_length).astype(np.int64))[None])
    for _ in range(config.fact_rows):
        keys = draw_keys(generator, config.text_length // 14 + 1, "train")
        lines = [f"@{key}={random_value(generator)};" for key in keys]
        rows.append(torch.from_numpy(packed(lines, config.text_length).astype(np.int64))[None])
    return torch.cat(rows)


def _problems(config: PretrainConfig, seed: int) -> list[Problem]:
    """All problems that may be learned from."""
    if not config.arithmetic_rows:
        return []
    return [
        problem
        for level in config.arithmetic_levels
        for problem in problems(seed, level, "train", config.arithmetic_problems)
    ]


@torch.no_grad()
def stream_recall(model: SleepWakeModel, drawn: Streams, memory: bool) -> float:
    """Share of asked answers of streams of which every byte is the likeliest one: what greedy decoding says."""
    model.eval()
    device, rights = model.embedding.weight.device, list[bool]()
    for row in range(0, len(drawn.values), 8):
        part = slice(row, row + 8)
        right = (model.of_bytes(drawn.values[part].to(device), memory).argmax(-1).cpu() == drawn.values[part]).numpy()
        for asked, found in zip(drawn.asked[part].numpy(), right, strict=True):
            places = np.flatnonzero(asked)
            answers = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
            rights += [bool(found[answer].all()) for answer in answers]
    return float(np.mean(rights))
