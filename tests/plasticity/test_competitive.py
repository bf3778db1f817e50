"""The learner by STDP alone and what it is compared with, on bars: naming, files, and that asking changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.config.liquid import PlasticityConfig, PlasticitySleepConfig, StreamConfig
from pipeline.config.plasticity import UnsupervisedConfig
from pipeline.continual.stream import Labelled, Stream
from pipeline.images import ImageSet
from pipeline.plasticity.competitive import CompetitiveLearner
from pipeline.plasticity.controls import Chance, KMeans, LinearReadout, Untrained
from pipeline.plasticity.day import live
from pipeline.plasticity.guards import verdicts
from pipeline.plasticity.learners import new_learner
from pipeline.plasticity.protocol import Learner
from pipeline.plasticity.stages.evaluate import figures
from pipeline.plasticity.streams import stream_of
from pipeline.plasticity.variants import COMPETITIVE, VARIANTS, chosen_variants, variant, variant_learner

CLASSES, SIDE = 4, 28
CONFIG = UnsupervisedConfig(neurons=20, batch_size=10, labelled_images=200, threshold=6.0, spikes=4.0, adaptation=8.0)


def bars(count: int, seed: int) -> Labelled:
    """Noisy images of a bar in one of four places."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    images = torch.rand(count, SIDE, SIDE, generator=generator) * 90
    for at, label in enumerate(labels.tolist()):
        images[at, :, 7 * label + 1 : 7 * label + 4] += 150 * torch.rand(SIDE, 3, generator=generator)
    return Labelled(images.flatten(1).to(torch.uint8), labels)


@pytest.fixture(scope="module")
def stream() -> Stream:
    return Stream(CLASSES, (tuple(range(CLASSES)),), (bars(600, seed=1),), (bars(200, seed=2),))


@pytest.fixture(scope="module")
def learner(stream: Stream) -> CompetitiveLearner:
    learned = CompetitiveLearner(CONFIG, CLASSES, seed=3)
    learned.wake(stream.train[0])
    return learned


def accuracy(learned: Learner, stream: Stream) -> float:
    return live(learned, stream)[-1][0]


def test_neurons_are_named_once_they_have_learned(stream: Stream) -> None:
    learned = CompetitiveLearner(CONFIG, CLASSES, seed=3)
    told: list[float] = []
    learned.wake(stream.train[0], told.append)
    right = learned.logits(stream.judged[0].images).argmax(1) == stream.judged[0].labels
    assert float(right.float().mean()) > 0.95 and len(told) == learned.steps == learned.wake_steps(stream.train[0])


def test_labels_name_neurons_and_never_move_them(stream: Stream, learner: CompetitiveLearner) -> None:
    task = stream.train[0]
    misled = CompetitiveLearner(CONFIG, CLASSES, seed=3)
    misled.wake(Labelled(task.images, (task.labels + 1) % CLASSES))
    assert torch.equal(misled.layer.weights, learner.layer.weights)
    asked = stream.judged[0].images
    assert torch.equal(misled.logits(asked).argmax(1), (learner.logits(asked).argmax(1) + 1) % CLASSES)


def test_only_the_first_images_are_asked_for_their_labels(stream: Stream, learner: CompetitiveLearner) -> None:
    task = stream.train[0]
    hidden = task.labels.clone()
    hidden[CONFIG.labelled_images :] = 0
    learned = CompetitiveLearner(CONFIG, CLASSES, seed=3)
    learned.wake(Labelled(task.images, hidden))
    assert torch.equal(learned.shares, learner.shares)


def test_asking_and_sleeping_change_nothing(stream: Stream, learner: CompetitiveLearner, tmp_path: Path) -> None:
    before = learner.save(tmp_path / "before").read_bytes()
    images = stream.judged[0].images
    first = learner.logits(images)
    learner.sleep()
    assert learner.sleep_steps() == 0 and torch.equal(learner.logits(images), first)
    assert learner.save(tmp_path / "after").read_bytes() == before


def test_a_learner_from_its_file_goes_on_as_from_memory(
    stream: Stream, learner: CompetitiveLearner, tmp_path: Path
) -> None:
    path = learner.save(tmp_path / "learner.safetensors")
    one, other = CompetitiveLearner(CONFIG, CLASSES, seed=3), CompetitiveLearner(CONFIG, CLASSES, seed=3)
    for loaded in (one, other):
        loaded.load(path)
    assert torch.equal(one.logits(stream.judged[0].images), learner.logits(stream.judged[0].images))
    for loaded in (one, other):
        loaded.wake(stream.train[0])
    assert one.tasks == 2 and one.save(tmp_path / "a").read_bytes() == other.save(tmp_path / "b").read_bytes()
    assert not torch.equal(one.layer.weights, learner.layer.weights)


def test_the_store_keeps_neurons_and_no_image(learner: CompetitiveLearner) -> None:
    kept = learner.kept()
    assert kept["buffer"].num_rows == 0 and kept["neurons"].num_rows == CONFIG.neurons
    row = kept["neurons"].to_pylist()[7]
    assert row["neuron"] == 7 and row["threshold"] == pytest.approx(float(learner.layer.thresholds[7]))
    np.testing.assert_allclose(row["weights"], learner.layer.weights[7])
    assert sum(row["shares"]) == pytest.approx(1)


def test_activity_and_receptive_fields(stream: Stream, learner: CompetitiveLearner) -> None:
    found = learner.activity(stream.judged[0].images)
    assert 0 < found["spike_rate"] <= 1 / CONFIG.neurons  # one neuron fires at a time
    assert CLASSES <= found["active_neurons"] <= CONFIG.neurons
    fields = learner.receptive_fields()
    columns = fields.weights.view(-1, SIDE, SIDE).sum(1)
    for label in range(CLASSES):
        bar = columns[fields.classes == label][:, 7 * label + 1 : 7 * label + 4]
        assert len(bar) and float(bar.mean()) > 1.8 * float(columns[fields.classes == label].mean())


def test_rivals_learn_and_those_that_do_not_stay_behind(stream: Stream) -> None:
    made = {kind: accuracy(kind(CONFIG, CLASSES, 3), stream) for kind in (LinearReadout, KMeans, Untrained, Chance)}
    assert made[LinearReadout] > 0.95 and made[KMeans] > 0.95
    commonest = int(torch.bincount(stream.train[0].labels[: CONFIG.labelled_images]).argmax())
    assert made[Chance] == pytest.approx(float((stream.judged[0].labels == commonest).float().mean()))
    assert made[Untrained] < 0.95


def test_centres_are_the_means_of_what_was_nearest() -> None:
    images = torch.tensor([[0] * 784, [200] * 784] * 20, dtype=torch.uint8)
    means = KMeans(CONFIG.model_copy(update={"neurons": 2, "batch_size": 5}), 2, seed=0)
    means.wake(Labelled(images, torch.tensor([0, 1] * 20)))
    assert len(means.centres) == 2 and means.steps == 8
    if not torch.equal(means.centres[0], means.centres[1]):
        assert torch.equal(means.logits(images).argmax(1), torch.tensor([0, 1] * 20))


CHOSEN = PlasticityConfig(
    learner="competitive",
    stream=StreamConfig(scenario="joint", tasks=1),
    sleep=PlasticitySleepConfig(epochs=0),
    unsupervised=CONFIG,
    seed=3,
)


def test_configuration_chooses_the_learner_and_its_variants() -> None:
    assert isinstance(new_learner(CHOSEN), CompetitiveLearner)
    assert chosen_variants("full", "competitive") == list(COMPETITIVE) and not set(COMPETITIVE) & set(VARIANTS)
    assert chosen_variants("default", "competitive") == ["chance", "untrained", "linear", "kmeans"]
    for name in COMPETITIVE:
        made = variant_learner(name, CHOSEN, 600)
        assert variant(name).about and made.steps == 0
        assert type(made) is not CompetitiveLearner or made.config != CONFIG


def made_set(count: int) -> ImageSet:
    generator = np.random.default_rng(0)
    pixels, labels = generator.integers(0, 255, (count, 784)).astype(np.uint8), (np.arange(count) % 10).astype(np.uint8)
    return ImageSet("mnist", "train", pixels, labels, digest="", source="made", reduced=False)


def test_a_joint_stream_is_all_classes_in_one_task() -> None:
    found = made_set(40)
    config = StreamConfig(scenario="joint", tasks=1, validation_images=10, train_images=25)
    stream = stream_of(config, 5, lambda name, part: found, judged_by="validation")
    (task,), (judged,) = stream.train, stream.judged
    assert len(task) == 25 and len(set(task.labels.tolist())) == 10 and stream.outputs == 10
    assert np.array_equal(judged.images, found.images[30:]) and np.array_equal(judged.labels, found.labels[30:])
    known = {row.tobytes() for row in found.images[:30]}
    assert all(row.numpy().tobytes() in known for row in task.images)

    def order(seed: int) -> Tensor:
        return stream_of(config, seed, lambda name, part: found).train[0].images

    assert torch.equal(order(5), task.images) and not torch.equal(order(6), task.images)


def test_one_task_transfers_nothing_and_its_guard_is_accuracy() -> None:
    measured = figures([[0.9], [0.9]], None)
    assert measured["forgetting"] == 0 and measured["backward_transfer"] is None is measured["forward_transfer"]
    (judged,) = verdicts({"average_accuracy": 0.84}, CHOSEN.guards)
    assert judged["name"] == "average_accuracy" and not judged["passed"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scenario": "joint"}, "stream.tasks=1"),
        ({"scenario": "permuted", "tasks": 1}, "two or more"),
        ({"scenario": "class", "tasks": 1}, "five pairs"),
    ],
)
def test_tasks_have_to_fit_the_scenario(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StreamConfig.model_validate(settings)


def test_stdp_alone_wants_all_classes_in_one_task() -> None:
    with pytest.raises(ValueError, match=r"stream\.scenario=joint and stream\.tasks=1"):
        PlasticityConfig(learner="competitive", sleep=PlasticitySleepConfig(epochs=0))
