"""Settings of plasticity rules: which one, its constants in milliseconds, and what bounds the weights.

Names follow the document of the plasticity experiments where it has one. Rates are in spikes a step, 0 to 1.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.config.section import Section

RuleName = Literal["pair", "triplet", "homeostatic", "bcm", "reward"]

_SECTIONS: dict[RuleName, tuple[str, ...]] = {
    "pair": ("pair",),
    "triplet": ("triplet",),
    "homeostatic": ("pair", "homeostatic"),
    "bcm": ("bcm",),
    "reward": ("pair", "reward"),
}
"""The sections that each rule reads."""


class PairConfig(Section):
    """Classical pairs of spikes; time constants and ratio of amplitudes of Song, Miller & Abbott 2000."""

    tau_plus: float = Field(20.0, gt=0, description="ms: decay of what a presynaptic spike leaves, for potentiation")
    tau_minus: float = Field(20.0, gt=0, description="ms: decay of what a postsynaptic spike leaves, for depression")
    a_plus: float = Field(0.005, ge=0, description="potentiation of a pair, presynaptic spike first")
    a_minus: float = Field(0.00525, ge=0, description="depression of a pair, postsynaptic spike first")


class TripletConfig(Section):
    """Triplets of spikes, all to all: the full set fitted to visual cortex, Pfister & Gerstner 2006, table 3."""

    tau_plus: float = Field(16.8, gt=0, description="ms: decay of the fast presynaptic trace r1")
    tau_minus: float = Field(33.7, gt=0, description="ms: decay of the fast postsynaptic trace o1")
    tau_x: float = Field(101.0, gt=0, description="ms: decay of the slow presynaptic trace r2")
    tau_y: float = Field(125.0, gt=0, description="ms: decay of the slow postsynaptic trace o2")
    a2_plus: float = Field(5e-10, ge=0, description="potentiation of a pair")
    a2_minus: float = Field(7e-3, ge=0, description="depression of a pair")
    a3_plus: float = Field(6.2e-3, ge=0, description="potentiation of a triplet post, pre, post")
    a3_minus: float = Field(2.3e-4, ge=0, description="depression of a triplet pre, post, pre")


class HomeostaticConfig(Section):
    """Synaptic scaling (Turrigiano 2008) beside the pairs; both rates may be far apart (Zenke et al. 2013)."""

    target_rate: float = Field(0.1, gt=0, le=1, description="spikes a step that every neuron is drawn to")
    homeostatic_rate: float = Field(
        0.0005, ge=0, description="1/ms: growth of the drive's logarithm at silence; learning_rate does not change it"
    )
    tau_homeostatic: float = Field(1000.0, gt=0, description="ms: of the moving average of a neuron's rate")


class BcmConfig(Section):
    """A threshold between depression and potentiation that slides (Bienenstock, Cooper & Munro 1982)."""

    tau_threshold: float = Field(1000.0, gt=0, description="ms: of the moving average that is the threshold")
    initial_threshold: float = Field(0.1, ge=0, description="spikes a step")
    reference_rate: float = Field(
        0.1, gt=0, le=1, description="spikes a step: the threshold tends to the mean square of the rate over this"
    )


class RewardConfig(Section):
    """Pairs are remembered until reward comes (Izhikevich 2007; Florian 2007)."""

    tau_eligibility: float = Field(1000.0, gt=0, description="ms: decay of the memory of pairs")


class BoundsConfig(Section):
    """What keeps weights from growing without end."""

    kind: Literal["none", "soft", "hard"] = Field(
        "none",
        description="soft: changes shrink with the distance that is left; hard: no change leads past a bound, and "
        "weights that are past it already may only come back",
    )
    w_min: float = Field(-1.0, description="lower bound of a weight")
    w_max: float = Field(1.0, description="upper bound of a weight")

    @model_validator(mode="after")
    def _bounds_fit_together(self) -> Self:
        if self.w_min >= self.w_max:
            raise ValueError(f"w_min {self.w_min} is not below w_max {self.w_max}")
        changed = [key for key in ("w_min", "w_max") if getattr(self, key) != type(self).model_fields[key].default]
        if self.kind == "none" and changed:
            raise ValueError(f"kind=none reads no {' and '.join(changed)}: set kind to soft or hard, or leave it out")
        return self


class RuleConfig(Section):
    """One plasticity rule; sections that belong to other rules must be left out."""

    rule: RuleName = Field("pair", description="which rule: see pipeline.plasticity.rules")
    learning_rate: float = Field(0.01, ge=0, description="factor of every change, but for homeostatic_rate's")
    step_ms: float = Field(1.0, gt=0, description="ms: length of a time step")
    decay: Literal["exponential", "euler"] = Field(
        "exponential", description="share of a trace left after a step: exp(-step/tau), or 1 - step/tau"
    )
    coincident: bool = Field(
        True, description="spikes of the same step are a pair, in both orders; false: no pair at all"
    )
    carry: bool = Field(
        False, description="traces go on into the next call, as in one long recording; false: every call is new"
    )
    reduction: Literal["sum", "mean"] = Field(
        "mean", description="over samples and steps; sum is what each spike of a recording adds, as in publications"
    )
    bounds: BoundsConfig = Field(BoundsConfig(), description="bounds of the weights")
    pair: PairConfig = Field(PairConfig(), description="pairs of spikes; read by pair, homeostatic and reward")
    triplet: TripletConfig = Field(TripletConfig(), description="triplets of spikes")
    homeostatic: HomeostaticConfig = Field(HomeostaticConfig(), description="synaptic scaling")
    bcm: BcmConfig = Field(BcmConfig(), description="sliding threshold")
    reward: RewardConfig = Field(RewardConfig(), description="memory of pairs until reward")

    @property
    def sections(self) -> tuple[str, ...]:
        """Names of the sections that the rule reads."""
        return _SECTIONS[self.rule]

    @model_validator(mode="after")
    def _rule_and_sections_fit_together(self) -> Self:
        every = {name for names in _SECTIONS.values() for name in names}
        for name in sorted(every - set(self.sections)):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"rule={self.rule} reads no section {name}: leave {name} out, or choose another rule")
        if self.decay == "euler":
            for name in self.sections:
                for key, value in getattr(self, name):
                    if key in ("tau_plus", "tau_minus", "tau_x", "tau_y") and value < self.step_ms:
                        raise ValueError(f"decay=euler needs a step or more: {name}.{key} {value} < {self.step_ms}")
        if self.rule == "bcm" and (self.carry or not self.coincident):
            raise ValueError("rule=bcm has rates and no traces: leave carry and coincident out")
        return self


class UnsupervisedConfig(Section):
    """Spiking neurons that compete for images and learn by pairs of spikes alone (after Diehl & Cook 2015)."""

    neurons: int = Field(400, ge=2, description="excitatory neurons, one of which fires at a time")
    batch_size: int = Field(50, ge=1, description="images seen with the same weights")
    steps: int = Field(8, ge=1, description="time steps for which an image is learned")
    answer_steps: int = Field(24, ge=1, description="time steps for which an image is answered")
    spikes: float = Field(
        6.0, gt=0, description="length of the vector of an image's spike probabilities, however much ink it has"
    )
    tau_membrane: float = Field(5.0, gt=0, description="ms: decay of the potentials")
    threshold: float = Field(10.0, gt=0, description="potential at which a neuron fires, before it adapts")
    adaptation: float = Field(
        3.75,
        ge=0,
        description="thresholds that a neuron would gain over the pass at twice the even share of spikes; what a batch "
        "adds falls to 0 over the pass; 0: all thresholds stay as they are",
    )
    competition: bool = Field(True, description="a neuron that fires silences the others; false: each for itself")
    learning_rate: float = Field(0.1, gt=0, description="of the first batch; weights of a neuron have length 1")
    learning_rate_end: float = Field(0.001, gt=0, description="of the last batch, reached geometrically")
    step_ms: float = Field(1.0, gt=0, description="ms: length of a time step")
    tau_plus: float = Field(1.0, gt=0, description="ms: decay of what a pixel's spike leaves, for potentiation")
    a_minus: float = Field(
        0.0, ge=0, description="depression of a pair, where potentiation is 1; weights compete by their length anyway"
    )
    tau_minus: float = Field(20.0, gt=0, description="ms: decay of what a neuron's spike leaves, for depression")
    labelled_images: int = Field(10_000, ge=1, description="training images whose labels say what neurons stand for")

    @property
    def rule(self) -> RuleConfig:
        """The rule of the synapses, whose changes the learning rates scale."""
        pairs = PairConfig(tau_plus=self.tau_plus, tau_minus=self.tau_minus, a_plus=1.0, a_minus=self.a_minus)
        return RuleConfig(rule="pair", learning_rate=1.0, reduction="sum", step_ms=self.step_ms, pair=pairs)
