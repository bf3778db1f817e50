"""Training finds what can be foreseen and not more; figures along a text count every byte once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pipeline.config.sleepwake import ByteTrainConfig
from pipeline.errors import DataError, TrainingError
from pipeline.sleepwake.byte_model import byte_losses
from pipeline.sleepwake.byte_training import (
    along_text,
    byte_optimizer,
    learning_rate,
    nats_per_byte,
    train_byte_model,
    windows,
)
from tests.sleepwake.tiny import SIZES, model, text

FAST = ByteTrainConfig(steps=300, batch=16, lr=1e-2, warmup=10)


def test_a_trained_model_reaches_the_entropy_of_its_source() -> None:
    net = model()
    losses = train_byte_model(net, text(), FAST, seed=0)
    assert len(losses) == 300
    held_out = text(200, seed=1)
    least = math.log(4) * 200 / len(held_out)  # a word is one of four, the rest of it is certain
    assert 0.98 * least < nats_per_byte(net, held_out) < 1.2 * least


def test_the_same_seed_gives_the_same_weights() -> None:
    short = FAST.model_copy(update={"steps": 3})
    nets = [model() for _ in range(3)]
    losses = [train_byte_model(net, text(), short, seed) for net, seed in zip(nets, (0, 0, 1), strict=True)]
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(nets[0].embedding.weight, nets[1].embedding.weight)


def test_the_rate_rises_then_falls_to_its_share() -> None:
    config = ByteTrainConfig(steps=100, warmup=10, lr=1.0, lr_min_share=0.1)
    rates = [learning_rate(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.55)
    assert rates[100] == pytest.approx(0.1)


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    net = model()
    net.embedding.weight.data[0, 0] = float("nan")
    with pytest.raises(TrainingError, match="step 0: the loss is nan"):
        train_byte_model(net, text(), FAST, seed=0)


def test_norms_do_not_decay_and_frozen_weights_are_left_out() -> None:
    net = model()
    net.blocks[0].requires_grad_(False)
    decayed, kept = byte_optimizer(net, 1e-3, 0.1).param_groups
    assert decayed["weight_decay"] == 0.1 and kept["weight_decay"] == 0
    assert all(weight.ndim == 2 for weight in decayed["params"])
    assert sum(len(group["params"]) for group in (decayed, kept)) == sum(w.requires_grad for w in net.parameters())


def test_muon_takes_matrices_of_layers_and_leaves_the_embedding_norms_and_frozen_weights() -> None:
    net = model()
    net.blocks[0].requires_grad_(False)
    optimizer = byte_optimizer(net, 1e-3, 0.1, "muon")
    decayed, kept, hidden = optimizer.param_groups
    names = {id(weight): name for name, weight in net.named_parameters()}
    assert {names[id(weight)] for weight in decayed["params"]} == {"embedding.weight"}
    assert all(weight.ndim == 1 for weight in kept["params"])
    layers = ("attention", "joined", "up", "down")
    assert {names[id(weight)] for weight in hidden["params"]} == {
        f"blocks.{number}.{layer}.weight" for number in range(1, len(net.blocks)) for layer in layers
    }
    before = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    train_byte_model(net, text(), FAST.model_copy(update={"optimizer": "muon", "steps": 1, "warmup": 0}), seed=0)
    assert all(not torch.equal(before[name], weight) for name, weight in net.named_parameters() if weight.requires_grad)
    assert torch.equal(before["blocks.0.up.weight"], net.blocks[0].up.weight)


def test_muon_learns_a_text() -> None:
    losses = train_byte_model(model(), text(), FAST.model_copy(update={"optimizer": "muon"}), seed=0)
    assert losses[-1] < losses[0] - 1


def test_windows_are_pieces_of_the_text() -> None:
    source = text()
    found = windows(source, 5, 24, np.random.default_rng(0))
    assert all(bytes(row.to(torch.uint8).numpy()) in source.tobytes() for row in found)
    assert len(windows(source[:24], 3, 24, np.random.default_rng(0))) == 3
    with pytest.raises(DataError, match="expected 24 bytes"):
        windows(source[:23], 1, 24, np.random.default_rng(0))


@pytest.mark.parametrize("length", [1, 12, 23, 24, 25, 36, 37, 100])
def test_every_byte_of_a_text_counts_once(length: int) -> None:
    source = np.arange(length, dtype=np.uint8)
    found = along_text(model(), source, lambda _, values: values, batch=2)
    assert found.tolist() == source.tolist()


def test_a_byte_sees_half_a_context_or_all_before_it() -> None:
    net, source = model(), text()[:60]
    found = along_text(net, source, byte_losses)
    values = torch.from_numpy(source.astype(np.int64))
    torch.testing.assert_close(found[:24], byte_losses(net, values[None, :24])[0].detach())
    torch.testing.assert_close(found[24:36], byte_losses(net, values[None, 12:36])[0, 12:].detach())
    assert nats_per_byte(net, source) == pytest.approx(float(found.mean()), rel=1e-5)
    with pytest.raises(DataError, match="found none"):
        nats_per_byte(net, source[:0])
    assert SIZES.context == 24
