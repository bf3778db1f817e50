"""The learner on images that are easy to tell apart: it learns, keeps, resumes to the bit; each part does its work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline.config.liquid import LiquidModelConfig, PlasticityConfig, PlasticitySleepConfig, StreamConfig
from pipeline.continual.stream import Labelled, Stream
from pipeline.plasticity.day import live
from pipeline.plasticity.learner import PlasticLearner
from pipeline.plasticity.streams import stream_of
from pipeline.plasticity.variants import VARIANTS, chosen_variants, settings_of

MODEL = LiquidModelConfig(
    hidden_dim=30, spiking_units=16, liquid_units=6, num_spike_steps=4, batch_size=16, learning_rate=5e-3,
    replay_buffer_size=40, replay_batch_size=32, shift=0, stdp_interval=2, meta_interval=2, fisher_samples=8,
)  # fmt: skip
SLEEP = PlasticitySleepConfig(epochs=6, learning_rate=5e-3, shift=0)


@pytest.fixture(scope="module")
def stream() -> Stream:
    """Three tasks of two classes: each class is a block of bright pixels with noise."""
    generator = np.random.default_rng(0)

    def of(pair: tuple[int, int], count: int) -> Labelled:
        labels = np.array(pair)[np.arange(count) % 2]
        images = generator.integers(0, 60, (count, 784))
        for row, label in enumerate(labels):
            images[row, 100 * label : 100 * label + 100] += 150
        return Labelled(torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(labels.astype(np.int64)))

    pairs = ((0, 1), (2, 3), (4, 5))
    return Stream(6, pairs, tuple(of(pair, 240) for pair in pairs), tuple(of(pair, 60) for pair in pairs))


def changed(**settings: object) -> LiquidModelConfig:
    return LiquidModelConfig.model_validate(MODEL.model_dump() | settings)


def test_the_system_keeps_what_naive_training_forgets(stream: Stream) -> None:
    kept = live(PlasticLearner(MODEL, SLEEP, 6, seed=1), stream)
    naive, awake = settings_of("naive", PlasticityConfig(model=MODEL, sleep=SLEEP), 240)
    lost = live(PlasticLearner(naive, awake, 6, seed=1), stream)
    assert np.mean(kept[-1]) > 0.9 and lost[-1][0] < 0.5 and lost[-1][2] > 0.9


def test_a_learner_from_its_file_goes_on_as_from_memory(stream: Stream, tmp_path: Path) -> None:
    one = PlasticLearner(MODEL, SLEEP, 6, seed=3)
    one.wake(stream.train[0])
    one.sleep()
    path = one.save(tmp_path / "learner.safetensors")
    other = PlasticLearner(MODEL, SLEEP, 6, seed=4)
    other.load(path)
    for learner in (one, other):
        learner.wake(stream.train[1])
        learner.sleep()
    for name, value in one.network.state_dict().items():
        assert torch.equal(value, other.network.state_dict()[name]), name
    assert one.save(tmp_path / "a").read_bytes() == other.save(tmp_path / "b").read_bytes()


@pytest.mark.parametrize("rule", ["classical", "triplet", "homeostatic", "bcm", "reward"])
def test_every_rule_moves_the_synapses_that_it_is_told_to(rule: str, stream: Stream) -> None:
    still = changed(num_layers=2, use_stdp=False, use_meta_plasticity=False)
    moving = changed(num_layers=2, stdp_type=rule, use_meta_plasticity=False, stdp_layers_to_enhance=(1,))
    few = Labelled(stream.train[0].images[:32], stream.train[0].labels[:32])
    weights = []
    for config in (still, moving):
        learner = PlasticLearner(config, SLEEP, 6, seed=5)
        learner.wake(few)
        weights.append([block.synapse.weight.detach() for block in learner.network.blocks])
    assert torch.equal(weights[0][0], weights[1][0]) and not torch.equal(weights[0][1], weights[1][1])
    assert weights[1][1].isfinite().all() and (weights[1][1] < 0).any()  # signs are kept


@pytest.mark.parametrize("controller", ["evolution", "bandit", "unrolled"])
def test_every_controller_steers_the_rule(controller: str, stream: Stream) -> None:
    learner = PlasticLearner(changed(meta_controller=controller, meta_lr=0.5), SLEEP, 6, seed=5)
    learner.wake(stream.train[0])
    assert learner.local.controller is not None
    values = torch.stack(list(learner.local.controller.multiples().values()))
    assert not torch.allclose(values, torch.ones_like(values))


@pytest.mark.parametrize("importance", ["fisher", "synaptic-intelligence"])
def test_protected_weights_move_less(importance: str, stream: Stream) -> None:
    moved = []
    for strength in (0.0, 1e4):
        plain = changed(
            use_stdp=False, use_meta_plasticity=False, use_experience_replay=False, importance=importance,
            consolidation_strength=strength, plasticity_decay=1.0,
        )  # fmt: skip
        learner = PlasticLearner(plain, SLEEP, 6, seed=6)
        learner.wake(stream.train[0])
        before = {name: value.detach().clone() for name, value in learner.network.named_parameters()}
        assert all((value >= 0).all() for value in learner.consolidation.importance.values())
        weights = {name: value.clone() for name, value in learner.consolidation.importance.items()}
        learner.wake(stream.train[1])
        now = dict(learner.network.named_parameters())
        moved.append(sum((weights[k] * (now[k] - before[k]).square()).sum().item() for k in weights))
    assert moved[1] < moved[0] / 4


def test_plasticity_decays_from_task_to_task(stream: Stream) -> None:
    def moved(decay: float) -> float:
        plain = changed(use_stdp=False, use_meta_plasticity=False, consolidation_strength=0.0, plasticity_decay=decay)
        learner = PlasticLearner(plain, SLEEP, 6, seed=7)
        learner.wake(stream.train[0])
        before = learner.network.sensor.weight.detach().clone()
        learner.wake(stream.train[1])
        return (learner.network.sensor.weight - before).abs().mean().item()

    assert moved(0.1) < moved(1.0) / 2


def test_every_variant_is_a_network_of_its_own_and_says_what_it_is() -> None:
    config = PlasticityConfig(model=MODEL, sleep=SLEEP)
    assert chosen_variants("none") == [] and set(chosen_variants("full")) == set(VARIANTS)
    for name, variant in VARIANTS.items():
        model, sleep = settings_of(name, config, 240)
        assert variant.about and (model, sleep) != (MODEL, SLEEP)


def test_without_sleep_as_many_images_are_replayed() -> None:
    model, sleep = settings_of("sleep", PlasticityConfig(model=MODEL, sleep=SLEEP), 240)
    steps = 240 // MODEL.batch_size
    extra = (model.replay_batch_size - MODEL.replay_batch_size) * steps
    assert sleep.epochs == 0 and abs(extra - SLEEP.epochs * MODEL.replay_buffer_size) <= steps


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_stdp": False}, "use_meta_plasticity"),
        ({"use_continual_learning": False}, "use_experience_replay"),
        ({"stdp_layers_to_enhance": (2,)}, "blocks of 0 to 0"),
        ({"use_stdp": False, "use_meta_plasticity": False, "stdp_layers_to_enhance": (0,)}, "use_stdp=false"),
        ({"stdp_tau": 3.0}, "Extra inputs"),
    ],
)
def test_contradictory_and_unknown_keys_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LiquidModelConfig.model_validate(settings)


def test_a_split_stream_has_five_tasks() -> None:
    with pytest.raises(ValidationError, match="five pairs"):
        StreamConfig(tasks=4)


def test_permuted_tasks_hold_the_same_images_in_other_orders() -> None:
    from pipeline.images import ImageSet

    generator = np.random.default_rng(0)
    pixels, labels = generator.integers(0, 255, (30, 784)).astype(np.uint8), (np.arange(30) % 10).astype(np.uint8)
    found = ImageSet("mnist", "train", pixels, labels, digest="", source="made", reduced=False)
    config = StreamConfig(scenario="permuted", tasks=3, validation_images=10)
    stream = stream_of(config, 5, lambda name, part: found)
    assert [len(task) for task in stream.train] == [20] * 3 and stream.outputs == 10
    first, second = stream.judged[0].images, stream.judged[1].images
    assert not torch.equal(first, second) and torch.equal(first.sort(1).values, second.sort(1).values)
    again = stream_of(config, 5, lambda name, part: found)
    assert torch.equal(again.train[2].images, stream.train[2].images)
