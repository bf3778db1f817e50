"""What a result is compared with: answers without a memory, of other labels, of nobody who learned, and of peers.

A control is an accuracy on test questions with a few details, as JSON values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from pipeline.config.needle import NeedleConfig
from pipeline.needle.building import layout_of, new_model
from pipeline.needle.course import Course
from pipeline.needle.evaluation import accuracy, evaluate, shuffled_read, zero_read
from pipeline.needle.examples import TensorExamples
from pipeline.needle.measures import right
from pipeline.needle.model import NeedleModel
from pipeline.needle.peers import parameters, peer
from pipeline.needle.training import train_peer

Control = dict[str, Any]
PEER_CLIP = 1.0  # largest norm of a peer's gradient, whatever the model's own


@dataclass(frozen=True)
class Trained:
    """A trained model and what it learned from.

    Attributes:
        config: Of the flow.
        model: The model.
        device: Where it is.
        training: Split train.
        validation: Split val.
        test: Split test.
        on_epoch: Called behind every epoch of a control that is trained.
    """

    config: NeedleConfig
    model: NeedleModel
    device: str
    training: TensorExamples
    validation: TensorExamples
    test: TensorExamples
    on_epoch: Callable[[], None] = lambda: None


def label_shuffle(trained: Trained) -> Control:
    """The same tokens under other sequences' labels: answers and their entropies may not change by anything.

    The accuracy is that against the shuffled labels, which a model that sees labels would reach.
    """
    size, batch = trained.config.train.eval_batch_size, trained.test.batch
    order = torch.randperm(len(trained.test), generator=torch.Generator().manual_seed(trained.config.seed))
    other: Any = replace(batch, target=batch.target[order], pair_val=batch.pair_val[order])  # type: ignore[type-var]
    shuffled = TensorExamples(other, trained.test.device)
    one, two = (evaluate(trained.model, examples, size).questions for examples in (trained.test, shuffled))
    change = float((one["entropy"] - two["entropy"]).abs().max())
    changed = float((one["pred"] != two["pred"]).float().mean())
    return {
        "accuracy": float((two["pred"] == two["target"]).float().mean()),
        "changed_answers": changed,
        "largest_change": max(change, _logit_change(trained, shuffled)),
    }


@torch.no_grad()
def _logit_change(trained: Trained, other: TensorExamples) -> float:
    size, change = trained.config.train.eval_batch_size, 0.0
    trained.model.eval()
    for one, two in zip(trained.test.in_order(size), other.in_order(size), strict=True):
        change = max(change, float((trained.model(one.tokens).logits - trained.model(two.tokens).logits).abs().max()))
    return change


@torch.no_grad()
def batch_invariance(trained: Trained) -> Control:
    """Some test sequences alone against the same ones in one batch."""
    model, count = trained.model.eval(), min(trained.config.evaluation.invariance, len(trained.test))
    some = trained.test.first(count)
    together = accuracy(model, some, count)
    alone = accuracy(model, some, 1)
    change = 0.0
    for batch in some.in_order(count):
        logits = model(batch.tokens).logits
        for number in range(count):
            single = model(batch.tokens[number : number + 1]).logits[0]
            change = max(change, float((single - logits[number, : len(single)]).abs().max()))
    return {
        "accuracy": float(alone.float().mean()),
        "changed_answers": float((alone != together).float().mean()),
        "largest_change": change,
    }


def _altered(trained: Trained, alter: Callable[[torch.Tensor], torch.Tensor]) -> Control:
    found = evaluate(trained.model, trained.test, trained.config.train.eval_batch_size, alter)
    return {"accuracy": float(right(found).float().mean())}


def untrained(trained: Trained) -> Control:
    """The model as it was before the first step."""
    model = new_model(trained.config, trained.device)
    return {"accuracy": float(accuracy(model, trained.test, trained.config.train.eval_batch_size).float().mean())}


def trained_peer(name: str, trained: Trained) -> Control:
    """A GRU or attention with as many parameters, the same optimiser and the same sequences."""
    config = trained.config
    per_epoch, epochs = peer_budget(config, trained.training)
    lr = config.evaluation.peer_lr or config.train.lr
    budget = {"epochs": epochs, "steps_per_epoch": per_epoch, "lr": lr, "gradient_clip": PEER_CLIP}
    train = config.train.model_copy(update=budget)
    model = peer(name, layout_of(config), parameters(trained.model), config.seed).to(trained.device)

    def seen(row: Any) -> bool:
        trained.on_epoch()
        return False

    with _one_thread() if name == "gru" else nullcontext():
        told = train_peer(model, trained.training, train, config.seed, seen)
        correct = accuracy(model, trained.test, train.eval_batch_size)
    return {
        "accuracy": float(correct.float().mean()),
        "parameters": parameters(model),
        "steps": per_epoch * len(told),
        "train_accuracy": told[-1]["train.acc"],
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread of a CPU, for which numbers below the smallest normal one are zero.

    Gradients that fade along a sequence become such numbers, and take a CPU ten times as long; and threads that meet at
    every position cost more than they give.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


def no_infonce(trained: Trained) -> Control:
    """The same model and training without InfoNCE, gated or not."""
    course = Course(without_infonce(trained.config), trained.device, trained.training, trained.validation)
    while not course.over:
        course.epoch()
        trained.on_epoch()
    correct = accuracy(course.model, trained.test, trained.config.train.eval_batch_size)
    told = course.summary()
    kept = ("steps", "steps_to_90", "validation_accuracy", "epochs")
    return {"accuracy": float(correct.float().mean()), **{name: told[name] for name in kept}}


def without_infonce(config: NeedleConfig) -> NeedleConfig:
    """No contrastive term: neither its fixed weight on keys nor λ."""
    nothing = {"nce_lambda_source": "gate", "nce_lambda_floor": 0.0, "nce_lambda_end": 0.0, "nce_lambda_max": 0.0}
    return config.model_copy(
        update={
            "loss": config.loss.model_copy(update={"key_nce": 0.0}),
            "nce": config.nce.model_copy(update=nothing),
        }
    )


CHEAP: dict[str, Callable[[Trained], Control]] = {
    "label_shuffle": label_shuffle,
    "zero_read": lambda trained: _altered(trained, zero_read),
    "shuffled_read": lambda trained: _altered(trained, shuffled_read),
    "untrained": untrained,
    "batch_invariance": batch_invariance,
}
"""Controls that train nothing."""

COSTLY: dict[str, Callable[[Trained], Control]] = {
    "no_infonce": no_infonce,
    "gru": lambda trained: trained_peer("gru", trained),
    "attention": lambda trained: trained_peer("attention", trained),
}
"""Controls that are trained as the model is."""

ABOUT = {
    "label_shuffle": "answers against labels of other sequences; answers do not change",
    "zero_read": "every read replaced by zero",
    "shuffled_read": "every read from another sequence's memory",
    "untrained": "before the first step",
    "batch_invariance": "one sequence at a time",
    "no_infonce": "trained without InfoNCE",
    "gru": "a GRU of as many parameters",
    "attention": "two layers of attention of as many parameters",
}
"""What each control is."""


def controls_of(config: NeedleConfig) -> dict[str, Callable[[Trained], Control]]:
    """The controls that are asked for; a task without pairs has no InfoNCE to leave out."""
    asked = {"none": {}, "default": CHEAP, "full": CHEAP | COSTLY}[config.evaluation.controls]
    return {name: control for name, control in asked.items() if name != "no_infonce" or config.data.blocks}


def peer_budget(config: NeedleConfig, training: TensorExamples) -> tuple[int, int]:
    """Steps of an epoch and epochs of a peer."""
    own = training.steps(config.train.batch_size, config.train.steps_per_epoch)
    total = config.evaluation.peer_steps or own * config.train.epochs
    per_epoch = min(own, total)
    return per_epoch, -(-total // per_epoch)


def control_epochs(config: NeedleConfig, training: TensorExamples) -> int:
    """Epochs of all controls that are trained."""
    names, peers = controls_of(config), peer_budget(config, training)[1]
    return config.train.epochs * ("no_infonce" in names) + peers * (("gru" in names) + ("attention" in names))
