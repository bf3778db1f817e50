"""Training lowers the loss, the same bytes count for every model, and every figure is measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.config.sleepwake import ByteModelConfig, ByteTrainConfig, PatchConfig
from pipeline.config.sleepwake_parts import LatentConfig
from pipeline.progress import Silent
from pipeline.sleepwake.latent_measures import measure_latent
from pipeline.sleepwake.latent_model import LatentModel
from pipeline.sleepwake.latent_training import flops_a_byte, nats_in_windows, stride_cutter, train_latent_model
from pipeline.sleepwake.text import split
from tests.sleepwake.tiny import SIZES, text

TINY = LatentConfig(
    local=ByteModelConfig(width=16, layers=1, heads=2, hidden=32, context=24),
    latent=ByteModelConfig(width=24, layers=1, heads=2, hidden=48, context=24),
    byte=SIZES,
    patcher=SIZES,
    patches=PatchConfig(target=4.0),
    train=ByteTrainConfig(steps=30, batch=8, lr=1e-2, warmup=5),
    patcher_steps=40,
    measured_bytes=2_000,
)


def test_training_lowers_the_loss_and_follows_the_seed() -> None:
    losses: list[float] = []
    models = [LatentModel(TINY, 0) for _ in range(2)]
    sizes = [
        train_latent_model(one, text(), stride_cutter(4.0), TINY.train, 0, lambda step, loss: losses.append(loss))
        for one in models
    ]
    assert sizes == [4.0, 4.0]
    assert losses[29] < 0.7 * losses[0]
    assert losses[:30] == losses[30:]


def test_second_halves_of_windows_count_once() -> None:
    values = np.arange(20, dtype=np.uint8)
    seen: list[int] = []

    def losses(windows: torch.Tensor) -> torch.Tensor:
        seen.extend(windows[:, 4:].flatten().tolist())
        return windows.float()

    assert nats_in_windows(losses, values, 8, "cpu", batch=2) == pytest.approx(np.arange(4, 20).mean())
    assert seen == list(range(4, 20))


def test_larger_patches_are_cheaper_and_the_patcher_costs() -> None:
    assert flops_a_byte(TINY, 8.0, False) < flops_a_byte(TINY, 4.0, False) < flops_a_byte(TINY, 4.0, True)


def test_every_figure_is_measured() -> None:
    corpus = split(text(4000).tobytes())
    found = measure_latent(TINY, corpus, seed=0, device="cpu", progress=Silent())
    arms = {f"{part}{arm}" for part in ("", "validation_") for arm in ("patches", "stride", "byte", "byte_same_steps")}
    assert arms <= set(found)
    assert all(0 < found[name] < 8 for name in arms)
    assert found["mean_patch"] == pytest.approx(4.0, rel=0.2)
    assert found["flops_patches"] > found["flops_stride"] > 0
