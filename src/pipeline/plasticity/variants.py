"""Rivals on the same images, and the system with one part left out, all at as many images seen.

Rivals of the liquid network are the same network with the same memory. What a variant of it leaves out of the night it
is given by day: sleep's images become replayed images of the day's steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pipeline.config.liquid import LearnerName, LiquidModelConfig, PlasticityConfig, PlasticitySleepConfig
from pipeline.config.plasticity import UnsupervisedConfig
from pipeline.plasticity.competitive import CompetitiveLearner
from pipeline.plasticity.controls import Chance, KMeans, LinearReadout, Untrained
from pipeline.plasticity.learner import PlasticLearner
from pipeline.plasticity.protocol import Learner

Settings = tuple[LiquidModelConfig, PlasticitySleepConfig]

_NO_LOCAL: dict[str, Any] = {"use_stdp": False, "use_meta_plasticity": False, "stdp_layers_to_enhance": None}
_NO_REPLAY: dict[str, Any] = {"use_experience_replay": False}
_BARE: dict[str, Any] = {**_NO_LOCAL, "consolidation_strength": 0.0, "plasticity_decay": 1.0}


Kind = Literal["baseline", "ablation"]


@dataclass(frozen=True)
class Variant:
    """One comparison with the liquid network.

    Attributes:
        about: What it is, in a line.
        kind: A rival method, or the system without a part.
        model: Settings of section ``model`` that differ.
        sleeps: Whether it sleeps.
    """

    about: str
    kind: Kind
    model: Mapping[str, Any]
    sleeps: bool = True


class MadeOf(Protocol):
    """Makes a learner from section ``unsupervised``."""

    def __call__(self, config: UnsupervisedConfig, outputs: int, seed: int) -> Learner:
        """A learner that has seen nothing."""
        ...


@dataclass(frozen=True)
class CompetitiveVariant:
    """One comparison with neurons that compete.

    Attributes:
        about: What it is, in a line.
        kind: Another way to learn the same images, or the system without a part.
        learner: Makes it.
        unsupervised: Settings of section ``unsupervised`` that differ.
    """

    about: str
    kind: Kind
    learner: MadeOf
    unsupervised: Mapping[str, Any]


VARIANTS: Mapping[str, Variant] = {
    "naive": Variant("gradients alone", "baseline", _BARE | _NO_REPLAY | {"use_continual_learning": False}, False),
    "ewc": Variant(
        "elastic weight consolidation, Kirkpatrick et al. 2017",
        "baseline",
        _NO_LOCAL | _NO_REPLAY | {"importance": "fisher", "consolidation_strength": 1000.0, "plasticity_decay": 1.0},
        False,
    ),
    "er": Variant(
        "experience replay from a reservoir, images shifted as ours",
        "baseline",
        _BARE | {"replay_sampling_strategy": "uniform", "replay_logits": 0.0},
        False,
    ),
    "derpp": Variant(
        "DER++, Buzzega et al. 2020, images shifted as ours",
        "baseline",
        _BARE | {"replay_sampling_strategy": "uniform"},
        False,
    ),
    "stdp": Variant("no local rule, and no controller", "ablation", _NO_LOCAL),
    "meta": Variant("the rule's constants stay as configured", "ablation", {"use_meta_plasticity": False}),
    "importance": Variant("no weight is protected", "ablation", {"consolidation_strength": 0.0}),
    "decay": Variant("the learning rate does not fall from task to task", "ablation", {"plasticity_decay": 1.0}),
    "replay": Variant("no image is kept, and nothing replayed in sleep", "ablation", _NO_REPLAY, False),
    "logits": Variant("replay and sleep know labels alone", "ablation", {"replay_logits": 0.0}),
    "balance": Variant("kept and drawn evenly over images", "ablation", {"replay_sampling_strategy": "uniform"}),
    "liquid": Variant("no liquid cell", "ablation", {"liquid_units": 0}),
    "sleep": Variant("no sleep, more replay by day", "ablation", {}, False),
}


COMPETITIVE: Mapping[str, CompetitiveVariant] = {
    "chance": CompetitiveVariant("always the commonest class of the labelled images", "baseline", Chance, {}),
    "untrained": CompetitiveVariant("newborn neurons, named by the same labels", "baseline", Untrained, {}),
    "linear": CompetitiveVariant(
        "softmax regression on the pixels by gradients, the same labels", "baseline", LinearReadout, {}
    ),
    "kmeans": CompetitiveVariant(
        "as many centres by mini-batch k-means in one pass, Sculley 2010, the same labels", "baseline", KMeans, {}
    ),
    "thresholds": CompetitiveVariant(
        "thresholds stay as they are", "ablation", CompetitiveLearner, {"adaptation": 0.0}
    ),
    "competition": CompetitiveVariant(
        "no neuron silences another one", "ablation", CompetitiveLearner, {"competition": False}
    ),
}


def variants_of(learner: LearnerName) -> Mapping[str, Variant | CompetitiveVariant]:
    """What a kind of learner is compared with, by name."""
    return VARIANTS if learner == "liquid" else COMPETITIVE


def variant(name: str) -> Variant | CompetitiveVariant:
    """A comparison with either kind of learner."""
    return VARIANTS[name] if name in VARIANTS else COMPETITIVE[name]


def chosen_variants(controls: Literal["none", "default", "full"], learner: LearnerName = "liquid") -> list[str]:
    """Which are run: ``default`` the rivals, ``full`` all."""
    kinds = {"none": (), "default": ("baseline",), "full": ("baseline", "ablation")}[controls]
    return [name for name, told in variants_of(learner).items() if told.kind in kinds]


def variant_learner(name: str, config: PlasticityConfig, task_images: int) -> Learner:
    """What a comparison is made with, before it has seen anything; arguments as `settings_of`."""
    outputs, seed = config.stream.outputs, config.seed
    if config.learner == "liquid":
        return PlasticLearner(*settings_of(name, config, task_images), outputs, seed)
    told = COMPETITIVE[name]
    return told.learner(config.unsupervised.model_copy(update=dict(told.unsupervised)), outputs, seed)


def settings_of(name: str, config: PlasticityConfig, task_images: int) -> Settings:
    """A variant's network and sleep.

    Args:
        name: One of `VARIANTS`.
        config: The system's.
        task_images: Images of a task, on average: what sleep's images are shared out over.

    Raises:
        ConfigError: The parts do not fit together.
    """
    told, model, sleep = VARIANTS[name], config.model, config.sleep
    changed = model.model_dump() | dict(told.model)
    if not told.sleeps and changed["use_experience_replay"] and changed["use_continual_learning"]:
        steps = model.num_epochs * max(1, task_images // model.batch_size)
        changed["replay_batch_size"] += round(sleep.epochs * model.replay_buffer_size / steps)
    if not told.sleeps:
        sleep = sleep.model_copy(update={"epochs": 0})
    if name == "logits":
        sleep = sleep.model_copy(update={"distillation_weight": 0.0})
    return LiquidModelConfig.model_validate(changed), sleep
