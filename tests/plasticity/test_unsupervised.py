"""Neurons that compete: one fires at a time, all take part, and images without labels become classes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.config.plasticity import UnsupervisedConfig
from pipeline.plasticity.unsupervised import CompetingLayer, assign, classify, compete, encode, learn, newborn, respond

CLASSES, SIDE = 4, 10


def bars(count: int, seed: int, ink: float = 0.7) -> tuple[Tensor, Tensor]:
    """Images of a noisy bar in one of four places, uint8, and its place: shapes (M, 100) and (M,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    images = torch.rand(count, SIDE, SIDE, generator=generator) * (1 - ink)
    for at, label in enumerate(labels.tolist()):
        images[at, :, 2 * label + 1 : 2 * label + 3] += ink * torch.rand(SIDE, 2, generator=generator)
    return (images.flatten(1) * 255).to(torch.uint8), labels


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


CONFIG = UnsupervisedConfig(neurons=16, batch_size=10, spikes=4.0, threshold=6.0)


def test_images_are_learned_without_labels_and_named_afterwards() -> None:
    images, labels = bars(1500, seed=1, ink=0.4)
    unseen, truth = bars(400, seed=2, ink=0.4)
    layer = learn(images, CONFIG, drawn(0))
    untaught = newborn(100, CONFIG, drawn(0))
    scores = []
    for known in (layer, untaught):
        shares = assign(respond(known, images[:400], CONFIG, drawn(3)), labels[:400], CLASSES)
        scores.append(float((classify(respond(known, unseen, CONFIG, drawn(4)), shares) == truth).float().mean()))
    assert scores[0] > 0.95 and scores[0] > scores[1] + 0.1


def test_every_neuron_takes_part_and_keeps_its_length() -> None:
    images, _ = bars(1500, seed=1)
    layer = learn(images, CONFIG, drawn(0))
    torch.testing.assert_close(layer.weights.norm(dim=1), torch.ones(16))
    assert float(layer.weights.min()) >= 0
    fired = respond(layer, images, CONFIG, drawn(3)).sum(0)
    assert float(fired.min()) > 0.25 * float(fired.mean())
    alone = learn(images, CONFIG.model_copy(update={"adaptation": 0.0}), drawn(0))
    assert float(respond(alone, images, CONFIG, drawn(3)).sum(0).min()) < 0.25 * float(fired.mean())


def test_a_short_pass_brings_as_many_neurons_to_fire_as_a_long_one() -> None:
    config = CONFIG.model_copy(update={"neurons": 40, "adaptation": 0.4})
    for count in (300, 3000):
        images, _ = bars(count, seed=1)
        layer = learn(images, config, drawn(0))
        assert int((respond(layer, images[:300], config, drawn(3)).sum(0) > 0).sum()) > 36


def test_neurons_that_do_not_compete_fire_side_by_side_and_become_alike() -> None:
    images, _ = bars(600, seed=1)
    alone = CONFIG.model_copy(update={"competition": False})
    pre = encode(images[:20].float(), 8, CONFIG, drawn(2))
    layer = newborn(100, CONFIG, drawn(0))
    assert float(compete(pre, layer, CONFIG).sum(2).max()) == 1 < float(compete(pre, layer, alone).sum(2).max())

    def likeness(config: UnsupervisedConfig) -> float:
        weights = learn(images, config, drawn(0)).weights
        return float((weights @ weights.T).min())

    assert likeness(alone) > 0.9 > likeness(CONFIG)


def test_a_potential_that_fired_begins_again_alone_without_competition() -> None:
    config = CONFIG.model_copy(update={"threshold": 1.0, "tau_membrane": 1e9, "competition": False})
    layer = CompetingLayer(torch.tensor([[0.6, 0.0], [1.0, 0.0]]), torch.zeros(2))
    assert compete(torch.tensor([[[1.0, 0.0]]] * 3), layer, config)[:, 0].tolist() == [[0, 1], [1, 1], [0, 1]]


def test_batches_tell_how_far_weights_moved_and_learning_goes_on_from_a_layer() -> None:
    images, _ = bars(600, seed=1)
    told: list[float] = []
    layer = newborn(100, CONFIG, drawn(9))
    learned = learn(images, CONFIG, drawn(0), told.append, layer)
    assert len(told) == 60 and max(told[-5:]) < 0.2 * max(told[:5])
    still = CONFIG.model_copy(update={"learning_rate": 1e-9, "learning_rate_end": 1e-9})
    torch.testing.assert_close(learn(images, still, drawn(0), layer=learned).weights, learned.weights)


def test_one_neuron_fires_at_a_time_and_all_begin_again() -> None:
    weights = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    config = CONFIG.model_copy(update={"threshold": 1.5, "tau_membrane": 1e9})
    layer = CompetingLayer(weights, torch.tensor([0.0, 0.0, 0.0]))
    pre = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 1.0]]])
    assert compete(pre, layer, config)[:, 0].tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]
    tired = CompetingLayer(weights, torch.tensor([1.0, 0.0, 0.0]))
    assert compete(pre, tired, config)[:, 0].tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_faint_and_bold_images_give_as_many_spikes() -> None:
    image = torch.rand(1, 400, generator=drawn(1))
    bold, faint = (encode(image * size, 300, CONFIG, drawn(2)).mean() for size in (200.0, 5.0))
    assert float(bold) == pytest.approx(float(faint), rel=0.02)
    assert torch.equal(encode(torch.zeros(1, 5), 3, CONFIG, drawn(2)), torch.zeros(3, 1, 5))


def test_shares_are_of_the_spikes_and_root_counts_vote() -> None:
    shares = assign(torch.tensor([[8.0, 0.0], [0.0, 2.0], [0.0, 6.0]]), torch.tensor([0, 0, 1]), classes=2)
    torch.testing.assert_close(shares, torch.tensor([[8.1 / 8.2, 0.1 / 8.2], [2.1 / 8.2, 6.1 / 8.2]]))
    assert classify(torch.tensor([[1.0, 0.0], [0.0, 3.0], [1.0, 9.0]]), shares).tolist() == [0, 1, 0]


def test_one_changed_setting_leaves_the_others_of_the_rule() -> None:
    rule = UnsupervisedConfig.model_validate({"tau_plus": 4.0}).rule
    assert rule.pair.tau_plus == 4.0 and rule.pair.a_plus == 1.0 and rule.reduction == "sum"
    assert rule.learning_rate == 1.0


def test_the_seed_decides_everything() -> None:
    images, _ = bars(200, seed=1)
    first, again, other = (learn(images, CONFIG, drawn(seed)) for seed in (5, 5, 6))
    assert torch.equal(first.weights, again.weights) and not torch.equal(first.weights, other.weights)
