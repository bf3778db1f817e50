"""Bits a byte of a latent transformer over entropy patches, over fixed strides, and of byte models.

figures = measure_latent(config, corpus, seed=1, device="cpu", progress=progress)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from pipeline.config.sleepwake import ByteModelConfig
from pipeline.config.sleepwake_parts import LatentConfig
from pipeline.progress import Progress
from pipeline.sleepwake.byte_model import VOCABULARY, ByteModel, byte_losses, entropies
from pipeline.sleepwake.byte_training import train_byte_model
from pipeline.sleepwake.flops import transformer_flops
from pipeline.sleepwake.initial import scale_by_inputs
from pipeline.sleepwake.latent_model import LatentModel
from pipeline.sleepwake.latent_training import (
    Cutter,
    entropy_cutter,
    flops_a_byte,
    latent_losses,
    nats_in_windows,
    stride_cutter,
    train_latent_model,
)
from pipeline.sleepwake.patcher import fit_threshold, mean_patch
from pipeline.sleepwake.text import Bytes, Corpus


def measure_latent(
    config: LatentConfig, corpus: Corpus, seed: int, device: str, progress: Progress
) -> dict[str, float]:
    """Train a patcher, two latent models and two byte models; measure bits a byte on the same held-out bytes.

    Returns:
        Bits a byte of the test part (and, with ``validation_`` before it, of the validation part): ``patches``, the
        latent model over entropy patches; ``stride``, over fixed strides of the same mean, so the same work but for the
        patcher's; ``byte``, the byte model trained with as many operations as ``patches``, the patcher's included;
        ``byte_same_steps``, the byte model trained on as many bytes, which is dearer.
        ``mean_patch`` bytes on the test part, ``threshold`` nats, ``flops_patches``, ``flops_stride``, ``flops_byte``
        of a forward pass a byte, ``flops_saved`` = 1 − patches / byte, ``excess`` = patches / byte_same_steps − 1,
        ``seconds`` of the first training.
    """
    length, train, held_out = config.local.context, config.train, _held_out(corpus, config)
    patcher = _byte_model(config, config.patcher, config.patcher_steps, corpus.train, seed, device, "patcher", progress)
    fitted = _windows(corpus.validation[: config.measured_bytes], length).to(device)
    with torch.no_grad():
        threshold = fit_threshold(entropies(patcher, fitted), config.patches)
    cut = entropy_cutter(patcher, threshold, config)
    tested = cut(_windows(held_out[""], length).to(device))
    mean = mean_patch(tested)
    figures = {"threshold": threshold, "mean_patch": mean}
    started = time.perf_counter()
    for arm, cutter in (("patches", cut), ("stride", stride_cutter(mean))):
        model = _latent_model(config, cutter, corpus.train, seed, device, arm, progress)
        for name, text in held_out.items():
            figures[f"{name}{arm}"] = _bits(_losses(model, cutter), text, length, device)
        figures.setdefault("seconds", time.perf_counter() - started)
    costs = {
        "patches": flops_a_byte(config, mean, True),
        "stride": flops_a_byte(config, mean, False),
        "byte": transformer_flops(config.byte, length, VOCABULARY) / length,
    }
    figures |= {f"flops_{name}": cost for name, cost in costs.items()}
    for arm, steps in (
        ("byte", max(1, round(train.steps * costs["patches"] / costs["byte"]))),
        ("byte_same_steps", train.steps),
    ):
        byte_model = _byte_model(config, config.byte, steps, corpus.train, seed, device, arm, progress)
        for name, text in held_out.items():
            figures[f"{name}{arm}"] = _bits(partial(byte_losses, byte_model), text, length, device)
    figures["flops_saved"] = 1 - costs["patches"] / costs["byte"]
    figures["excess"] = figures["patches"] / figures["byte_same_steps"] - 1
    return figures


def _held_out(corpus: Corpus, config: LatentConfig) -> dict[str, Bytes]:
    return {"validation_": corpus.validation[: config.measured_bytes], "": corpus.test[: config.measured_bytes]}


def _windows(text: Bytes, length: int) -> Tensor:
    """Byte values (N, L) of a text without overlap, its rest left out."""
    return torch.from_numpy(text[: len(text) // length * length].astype("int64")).view(-1, length)


def _losses(model: LatentModel, cut: Cutter) -> Callable[[Tensor], Tensor]:
    return lambda values: latent_losses(model, values, cut(values))


def _bits(losses: Callable[[Tensor], Tensor], text: Bytes, length: int, device: str) -> float:
    return nats_in_windows(losses, text, length, device) / math.log(2)


def _latent_model(
    config: LatentConfig, cut: Cutter, text: Bytes, seed: int, device: str, arm: str, progress: Progress
) -> LatentModel:
    progress.phase(f"latent model, {arm}", config.train.steps)
    model = LatentModel(config, seed).to(device)

    def told(step: int, loss: float) -> None:
        progress.advance()
        progress.note(f"loss {loss:.3f}")

    train_latent_model(model, text, cut, config.train, seed, told)
    return model


def _byte_model(
    config: LatentConfig,
    sizes: ByteModelConfig,
    steps: int,
    text: Bytes,
    seed: int,
    device: str,
    arm: str,
    progress: Progress,
) -> ByteModel:
    """A byte model of the same initialisation, optimiser and windows as the latent ones."""
    progress.phase(f"byte model, {arm}", steps)
    model = ByteModel(sizes, seed)
    scale_by_inputs(model, seed, smaller=("joined.weight", "down.weight"))

    def told(step: int, loss: float) -> None:
        progress.advance()
        progress.note(f"loss {loss:.3f}")

    train_byte_model(model.to(device), text, config.train.model_copy(update={"steps": steps}), seed, told)
    return model.eval()
