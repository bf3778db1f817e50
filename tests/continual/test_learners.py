"""Every learner on a small stream: what it keeps, what it may see, and what its parts do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline.config import ContinualConfig, LearnerConfig, config_root, load_section
from pipeline.continual.learner import Learner, new_learner, register_learner
from pipeline.continual.learners.ewc import ElasticWeightConsolidation
from pipeline.continual.learners.naive import Naive
from pipeline.continual.learners.soft_columns import SoftColumns
from pipeline.continual.protocol import Outcome, accuracy, run
from pipeline.continual.stream import Stream, split_stream
from pipeline.errors import ConfigError
from tests.continual.streams import squares

CONFIG = load_section(ContinualConfig, config_root() / "benchmarks" / "continual.yaml")


@pytest.fixture(scope="module")
def stream() -> Stream:
    return split_stream("mnist", "class", 1, squares, validation_images=50)


def config_of(name: str, **changes: object) -> LearnerConfig:
    return CONFIG.rows[name].learner({"images": 50, "replay_batch_size": 20} | changes)


def learned(config: LearnerConfig, stream: Stream) -> Learner:
    learner = new_learner(config, stream.outputs, seed=2)
    for task in stream.train:
        learner.learn(task)
    return learner


@pytest.mark.parametrize("name", CONFIG.rows)
def test_every_method_takes_the_same_number_of_steps(name: str, stream: Stream) -> None:
    outcome = run(config_of(name), stream, seed=2)
    assert outcome.steps == sum(-(-len(task) // 10) for task in stream.train)
    assert [len(row) for row in outcome.after] == [1, 2, 3, 4, 5] and outcome.after[0][0] > 0.9


def test_replay_remembers_what_naive_learning_forgets(stream: Stream) -> None:
    naive = run(config_of("naive"), stream, seed=2)
    assert naive.accuracy < 0.45 and naive.forgetting > 0.6
    for name in ("er-200", "derpp-200", "soft-columns+sleep"):
        outcome = run(config_of(name), stream, seed=2)
        assert outcome.accuracy > 0.8 and outcome.forgetting < 0.25


@pytest.mark.parametrize("name", CONFIG.rows)
def test_an_answer_follows_from_the_image_alone(name: str, stream: Stream) -> None:
    """Tasks that are numbered and ordered otherwise at test, or mixed image by image, are answered the same."""
    learner = learned(config_of(name), stream)
    images = torch.cat([judged.images for judged in stream.judged]).float() / 255
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        mixed = learner.logits(images[order])
        apart = torch.cat([learner.logits(judged.images.float() / 255) for judged in stream.judged])
    assert torch.equal(mixed.argmax(1), apart[order].argmax(1))
    backwards = [accuracy(learner, judged) for judged in reversed(stream.judged)]
    assert backwards == [accuracy(learner, judged) for judged in stream.judged][::-1]


@pytest.mark.parametrize("name", [name for name in CONFIG.rows if name.startswith(("soft", "one"))])
@pytest.mark.parametrize("outputs", [2, 10])
def test_soft_columns_keep_no_more_bytes_than_experience_replay(name: str, outputs: int) -> None:
    ours = new_learner(CONFIG.rows[name].fixed, outputs, 1).memory()
    theirs = new_learner(CONFIG.rows["er-200"].fixed, outputs, 1).memory()
    assert sum(theirs.values()) - (785 + 4 * outputs) < sum(ours.values()) <= sum(theirs.values())


def test_the_same_seed_learns_the_same(stream: Stream) -> None:
    one, two = (run(config_of("soft-columns+sleep+shift"), stream, seed=4) for _ in range(2))
    assert replace(one, seconds=0) == replace(two, seconds=0)


def test_by_day_a_shut_gate_moves_the_task_s_own_column_alone(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SoftColumns, "_sleep", lambda self, steps: None)
    learner = new_learner(config_of("soft-columns+sleep", gate=0.0), stream.outputs, seed=2)
    learner.learn(stream.train[0])
    before = {name: value.detach().clone() for name, value in learner.network.named_parameters()}
    learner.learn(stream.train[1])
    for name, value in learner.network.named_parameters():
        changed = (value != before[name]).flatten(1).any(1)
        assert not value.numel() or changed.tolist() == [False, True, False, False, False], name


def test_the_buffer_of_soft_columns_is_balanced_by_class(stream: Stream) -> None:
    learner = learned(config_of("soft-columns+sleep"), stream)
    assert isinstance(learner, SoftColumns)
    counts = torch.bincount(learner.buffer.labels[: learner.buffer.filled].long(), minlength=10)
    assert counts.min() == counts.max() == len(learner.buffer.labels) // 10


def test_a_spring_holds_the_weights_that_matter(stream: Stream) -> None:
    def moved(weight: float) -> float:
        """Squared distance of the weights after a second task, each as it mattered to the first."""
        learner = new_learner(config_of("ewc", ewc_weight=weight, learning_rate=0.03), stream.outputs, seed=2)
        assert isinstance(learner, ElasticWeightConsolidation)
        learner.learn(stream.train[0])
        before = [value.detach().clone() for value in learner.network.parameters()]
        fisher = [value.clone() for value in learner.fisher]
        learner.learn(stream.train[1])
        now = [value.detach() for value in learner.network.parameters()]
        return sum(float((f * (a - b).square()).sum()) for f, a, b in zip(fisher, now, before, strict=True))

    assert moved(100.0) < 0.5 * moved(0.0)


def test_the_fisher_diagonal_is_that_of_a_direct_count(stream: Stream) -> None:
    """With one image its Fisher diagonal is the squared gradient of one of the ten possible answers."""
    learner = new_learner(config_of("ewc", fisher_images=1), stream.outputs, seed=2)
    one = replace(stream.train[0], images=stream.train[0].images[:1], labels=stream.train[0].labels[:1])
    learner.ended(one)
    logits = learner.logits(one.images.float() / 255)
    squares = []
    for answer in range(stream.outputs):
        loss = cross_entropy(logits, torch.tensor([answer]))
        (gradient,) = torch.autograd.grad(loss, [learner.network.readout], retain_graph=True)
        squares.append(gradient.square())
    names = [name for name, _ in learner.network.named_parameters()]
    assert isinstance(learner, ElasticWeightConsolidation)
    fisher = learner.fisher[names.index("readout")]
    assert any(torch.allclose(fisher, square) for square in squares)


def test_steps_that_are_too_large_count_as_nothing_learned(stream: Stream) -> None:
    outcome = run(config_of("ewc", learning_rate=0.1, ewc_weight=1e9), stream, seed=2)
    assert outcome.after[0][0] > 0.9 and outcome.accuracy == 0 and len(outcome.after[-1]) == 5


def test_a_learner_is_one_class_with_one_decorator(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.continual import learner

    monkeypatch.setattr(learner.LEARNERS, "_entries", dict(learner.LEARNERS._entries))
    register_learner("again")(Naive)
    assert isinstance(new_learner(LearnerConfig(learner="again"), 10, 1), Naive)
    with pytest.raises(ValueError, match="already registered"):
        register_learner("again")(Naive)
    with pytest.raises(ConfigError, match=r"unknown learner 'nobody'; there are: .*soft-columns"):
        new_learner(LearnerConfig(learner="nobody"), 10, 1)


def test_forgetting_is_what_was_lost_since_the_best_time() -> None:
    outcome = Outcome([[0.9], [0.95, 0.8], [0.5, 0.7, 1.0]], 3, {}, 0.0)
    assert outcome.accuracy == pytest.approx(2.2 / 3) and outcome.forgetting == pytest.approx((0.45 + 0.1) / 2)
