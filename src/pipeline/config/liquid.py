"""Settings of the flow ``plasticity``: a spiking network that learns tasks one after another, or all in one by STDP.

Keys of ``model`` are those of the document's ModelConfig, under its names.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.config.plasticity import UnsupervisedConfig
from pipeline.config.schema import FlowConfig, register_flow
from pipeline.config.section import Name, Section

Rule = Literal["classical", "triplet", "homeostatic", "bcm", "reward"]
Sampling = Literal["uniform", "importance", "balanced"]
LearnerName = Literal["liquid", "competitive"]


class StreamConfig(Section):
    """Which images are learned in which order; the task is never told, neither by day nor when it is asked."""

    dataset: Literal["mnist", "fashion-mnist"] = Field("mnist", description="the images")
    scenario: Literal["class", "domain", "permuted", "joint"] = Field(
        "class",
        description="class: which of ten classes, two new ones a task; domain: which class of the task's two; "
        "permuted: which of ten digits, pixels in another order in every task; joint: all ten classes in one task",
    )
    tasks: int = Field(5, ge=1, le=50, description="tasks; the two split scenarios have five, joint has one")
    train_images: int | None = Field(None, ge=1, description="images a task is learned from, at most; null is all")
    validation_images: int = Field(
        10_000, ge=1, description="last images of the training set: never learned from, guards are judged by them"
    )

    @property
    def outputs(self) -> int:
        """How many different answers there are."""
        return 2 if self.scenario == "domain" else 10

    @model_validator(mode="after")
    def _tasks_fit_the_scenario(self) -> Self:
        if self.scenario == "joint":
            if self.tasks != 1:
                raise ValueError(f"tasks={self.tasks}: the scenario joint is one task; set stream.tasks=1")
        elif self.scenario == "permuted":
            if self.tasks < 2:
                raise ValueError("tasks=1: the scenario permuted needs two or more; one task is scenario=joint")
        elif self.tasks != 5:
            raise ValueError(f"tasks={self.tasks}: the scenario {self.scenario} has five pairs of classes")
        return self


class LiquidModelConfig(Section):
    """The network, and which kinds of plasticity it has; names as in the document."""

    input_dim: Literal[784] = Field(784, description="pixels of an image")
    hidden_dim: int = Field(200, ge=1, description="spiking neurons between blocks")
    spiking_units: int = Field(100, ge=1, description="LIF neurons of a block's encoder")
    liquid_units: int = Field(32, ge=0, description="units of a block's liquid cell; 0 leaves it out")
    liquid_backbone: Literal["cfc"] = Field("cfc", description="closed-form continuous-time cell (Hasani et al. 2022)")
    num_layers: int = Field(1, ge=1, description="residual liquid-spiking blocks")
    num_spike_steps: int = Field(6, ge=1, description="time steps T for which an image is shown")
    step_ms: float = Field(5.0, gt=0, description="length of a time step, ms; time constants of STDP are in ms")
    beta: float = Field(0.9, gt=0, lt=1, description="share of the membrane potential kept from step to step")
    spike_threshold: float = Field(1.0, gt=0, description="membrane potential at which a neuron fires")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of block outputs silenced while learning")
    batch_size: int = Field(64, ge=1, description="new images a step")
    num_epochs: int = Field(1, ge=1, description="passes over a task's images")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's step")
    weight_decay: float = Field(0.0, ge=0, description="of Adam, decoupled (AdamW)")
    gradient_clip: float = Field(5.0, gt=0, description="largest norm of a step's gradient")

    use_stdp: bool = Field(True, description="whether synapses of blocks also follow a local rule")
    stdp_type: Rule = Field("homeostatic", description="the rule")
    stdp_learning_rate: float = Field(0.01, ge=0, description="factor of each update of the rule")
    stdp_tau_plus: float = Field(20.0, gt=0, description="time constant of potentiation, ms")
    stdp_tau_minus: float = Field(20.0, gt=0, description="time constant of depression, ms")
    stdp_target_rate: float = Field(0.1, gt=0, lt=1, description="spikes a step that homeostasis aims at")
    stdp_interval: int = Field(10, ge=1, description="steps of the optimiser from one update of the rule to the next")
    stdp_layers_to_enhance: tuple[int, ...] | None = Field(None, description="blocks that have it, from 0; null is all")

    use_meta_plasticity: bool = Field(True, description="whether performance decides how plastic synapses are")
    meta_controller: Literal["evolution", "bandit", "unrolled"] = Field(
        "evolution",
        description="evolution: antithetic evolution strategy; bandit: exponential weights over multiples; "
        "unrolled: an LSTM whose gradient comes through one update of the rule",
    )
    meta_lr: float = Field(0.1, gt=0, description="step of the controller")
    meta_history_length: int = Field(100, ge=1, description="observations that the controller remembers")
    meta_hidden_dim: int = Field(32, ge=1, description="units of the unrolled controller's LSTM")
    meta_interval: int = Field(10, ge=1, description="steps between two observations of the controller")

    use_continual_learning: bool = Field(True, description="whether anything protects what earlier tasks taught")
    importance: Literal["fisher", "synaptic-intelligence"] = Field(
        "synaptic-intelligence", description="what says how much earlier tasks need a weight"
    )
    consolidation_strength: float = Field(1.0, ge=0, description="weight of importance times squared change")
    compute_importance_interval: int = Field(1, ge=1, description="tasks between two measurements of importance")
    fisher_samples: int = Field(100, ge=1, description="images whose single gradients make the Fisher information")
    plasticity_decay: float = Field(
        0.95, gt=0, le=1, description="factor of the learning rate from each task to the next one"
    )
    use_experience_replay: bool = Field(True, description="whether images of earlier tasks are kept and replayed")
    replay_buffer_size: int = Field(500, ge=1, description="images kept, over all tasks")
    replay_sampling_strategy: Sampling = Field("balanced", description="what is kept, and what is drawn")
    replay_batch_size: int = Field(128, ge=1, description="replayed images a step")
    replay_logits: float = Field(0.3, ge=0, description="weight of the distance to the logits an image once had")
    shift: int = Field(1, ge=0, description="replayed images are moved by up to so many pixels")

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if self.use_experience_replay and not self.use_continual_learning:
            raise ValueError("use_experience_replay=true needs use_continual_learning=true")
        if self.use_meta_plasticity and not self.use_stdp:
            raise ValueError("use_meta_plasticity=true steers the local rule: it needs use_stdp=true")
        if self.stdp_layers_to_enhance is not None:
            if not self.use_stdp:
                raise ValueError("stdp_layers_to_enhance names blocks for a rule that use_stdp=false turns off")
            strangers = [layer for layer in self.stdp_layers_to_enhance if not 0 <= layer < self.num_layers]
            if strangers or len(set(self.stdp_layers_to_enhance)) != len(self.stdp_layers_to_enhance):
                raise ValueError(f"stdp_layers_to_enhance: expected different blocks of 0 to {self.num_layers - 1}")
        return self

    @property
    def stdp_layers(self) -> tuple[int, ...]:
        """Blocks whose synapses follow the rule."""
        if not self.use_stdp:
            return ()
        return tuple(range(self.num_layers)) if self.stdp_layers_to_enhance is None else self.stdp_layers_to_enhance


class PlasticitySleepConfig(Section):
    """Consolidation after a task: the buffer alone, in even measure of all classes."""

    epochs: int = Field(12, ge=0, description="passes over the buffer after every task; 0 is no sleep")
    batch_size: int = Field(64, ge=1, description="images a step")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's peak step; it falls to a twentieth (cosine)")
    distillation_weight: float = Field(0.3, ge=0, description="weight of the distance to the network as it fell asleep")
    shift: int = Field(2, ge=0, description="images are moved by up to so many pixels")


class PlasticityEvaluationConfig(Section):
    """What is measured beside the system itself."""

    controls: Literal["none", "default", "full"] = Field(
        "default", description="default: rival methods in the same network; full: each part left out as well; none"
    )
    test_images: int | None = Field(
        None, ge=1, description="test images a task, the first ones, at most; null is all; for trials"
    )


class PlasticityGuardsConfig(Section):
    """What a night must reach on validation images before its network becomes champion."""

    average_accuracy_min: float = Field(0.85, ge=0, le=1, description="mean accuracy over tasks at the end")
    forgetting_max: float = Field(0.08, ge=0, le=1, description="mean loss of a task's accuracy since it was best")


@register_flow("plasticity")
class PlasticityConfig(FlowConfig):
    """Learn tasks one after another, consolidate, compare with rivals and with what is left when a part is."""

    flow: Name = Field("plasticity", description="the flow's name, the first half of FLOW/DEPLOYMENT")
    deployment: Name = Field("split-mnist", description="the deployment's name, the second half")
    stream: StreamConfig = Field(StreamConfig(), description="the tasks")
    learner: LearnerName = Field(
        "liquid",
        description="liquid: the network of section model, by gradients and local rules; competitive: neurons of "
        "section unsupervised that compete, by STDP alone",
    )
    model: LiquidModelConfig = Field(LiquidModelConfig(), description="the liquid network and its plasticity")
    unsupervised: UnsupervisedConfig = Field(UnsupervisedConfig(), description="neurons that learn by STDP alone")
    sleep: PlasticitySleepConfig = Field(PlasticitySleepConfig(), description="consolidation")
    evaluation: PlasticityEvaluationConfig = Field(PlasticityEvaluationConfig(), description="controls")
    guards: PlasticityGuardsConfig = Field(PlasticityGuardsConfig(), description="what a night must reach")

    @model_validator(mode="after")
    def _learner_and_sections_fit_together(self) -> Self:
        unread = "unsupervised" if self.learner == "liquid" else "model"
        usual = type(self).model_fields[unread].default
        changed = [f"{unread}.{key}" for key, value in getattr(self, unread) if value != getattr(usual, key)]
        if changed:
            raise ValueError(f"learner={self.learner} reads no section {unread}: leave out {', '.join(changed)}")
        if self.learner == "competitive" and self.stream.scenario != "joint":
            raise ValueError(
                f"learner=competitive learns in one pass over all classes, not scenario={self.stream.scenario}: "
                "set stream.scenario=joint and stream.tasks=1"
            )
        if self.learner == "competitive" and self.sleep != PlasticitySleepConfig(epochs=0):
            raise ValueError(
                "learner=competitive keeps no image and has no sleep: set sleep.epochs=0, leave the rest of sleep out"
            )
        guards = type(self.guards).model_fields["forgetting_max"].default
        if self.stream.tasks == 1 and self.guards.forgetting_max != guards:
            raise ValueError("guards.forgetting_max: a single task is not forgotten for another one; leave it out")
        return self
