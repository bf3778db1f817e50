"""Settings of the needle model: core, memory, readout, losses, training; names as in the document.

Left out because nothing could read them: ``n_slots`` (the document's slots of one bucket all hold the same sum, so that
a bucket is one vector), and thresholds of the InfoNCE gate, which belong to the section of the gate itself.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.config.section import Section

Writes = Literal["marked", "learned"]


class NeedleModelConfig(Section):
    """Sizes of the network."""

    emb_dim: int = Field(64, ge=1, description="numbers of a token's embedding")
    hid_dim: int = Field(128, ge=1, description="numbers of a position's state, the fixed point")
    mem_dim: int = Field(512, ge=8, description="numbers of a key, of a value and of each bucket's trace")
    kernel: int = Field(4, ge=1, description="tokens that a position sees: itself and those just before it")
    liquid: bool = Field(False, description="whether a leaky state of learned time constants runs over all positions")


class EmmaConfig(Section):
    """How states are solved, what is written, and what the loop between memory and core is."""

    writes: Writes = Field(
        "marked", description="marked: at the end marks among the tokens; learned: where the model's own gate opens"
    )
    deq_max_iter: int = Field(12, ge=1, description="most steps to the fixed point in training")
    deq_tol: float = Field(1e-3, gt=0, description="relative residual at which training stops solving")
    deq_eval_max_iter: int = Field(80, ge=1, description="most steps to the fixed point in evaluation")
    deq_eval_tol: float = Field(1e-6, gt=0, description="relative residual at which evaluation stops solving")
    contraction: float = Field(0.9, gt=0, lt=1, description="bound of the core's Lipschitz constant")
    gradient: Literal["phantom", "implicit"] = Field(
        "phantom", description="phantom: through the last steps (Geng et al. 2021); implicit: through the fixed point"
    )
    phantom_steps: int = Field(1, ge=1, description="steps that the phantom gradient passes through")
    spectral_norm_keys: bool = Field(True, description="whether key and value heads have a spectral norm of 1 at most")
    own_query_keys: bool = Field(
        False,
        description="whether questions have a key head of their own: where the asking token is the key (mqar) and not, "
        "as at a write, the one before",
    )
    max_writes_per_seq: int | None = Field(
        8, ge=1, description="a learned gate writes at so many positions at most, where it is widest; null is all"
    )
    gate_bias: float = Field(2.0, description="subtracted from the gate's logit: closed where nothing was learned")
    answer: Literal["memory", "prediction"] = Field(
        "memory", description="memory: what was read answers; prediction: the core's state after the read does"
    )
    mem_into_deq: bool = Field(True, description="whether what was read is given to the core at the question")
    mem_scale: float = Field(0.6, ge=0, description="norm of what is given to the core")
    logit_scale_max: float = Field(20.0, gt=0, description="bound of the learned factor of cosines (document: 5)")
    value_dropout: float = Field(0.05, ge=0, lt=1, description="dropout of written values in training")


class HolographicConfig(Section):
    """The memory of one sequence."""

    bucket_count: int = Field(64, ge=1, description="traces; a key's own one is found by random projections")
    k_top: int = Field(
        4, ge=1, description="buckets that a read sums, best first: a question's key is never quite its needle's"
    )
    write_decay: float = Field(0.99, gt=0, le=1, description="factor of a bucket's trace at each write to it")
    write_strength: float = Field(0.5, gt=0, description="factor of what is written")
    write_norm_clip: float = Field(0.5, gt=0, description="largest norm of what is written")
    rule: Literal["plain", "delta"] = Field(
        "plain", description="delta: a write first takes out what the memory, cleaned up, holds under its key"
    )
    unitary_keys: bool = Field(True, description="whether every frequency of a key has magnitude 1")
    load_balance_coeff: float = Field(
        0.05, ge=0, description="weight of the variance of soft loads of buckets (document: .001, without a gradient)"
    )

    @model_validator(mode="after")
    def _reads_fit_the_buckets(self) -> Self:
        if self.k_top > self.bucket_count:
            raise ValueError(f"k_top={self.k_top}: there are only bucket_count={self.bucket_count} buckets to read")
        return self


class ReadConfig(Section):
    """From what was read to logits."""

    cleanup_mode: Literal["nearest", "softmax"] = Field(
        "softmax", description="nearest: mean of the best prototypes; softmax: weighted by exp(cosine / temperature)"
    )
    cleanup_topk: int = Field(3, ge=1, description="prototypes that clean-up looks at, the nearest ones")
    cleanup_temp: float = Field(
        0.05, gt=0, description="temperature of clean-up (document: .7, nearly the mean of the best)"
    )
    cleanup_blend: float = Field(0.3, ge=0, le=1, description="share of the cleaned vector in what is compared")
    sharpen_topk: int = Field(0, ge=0, description="logits that are kept, the largest; 0 leaves logits as they are")
    sharpen_temp: float = Field(0.8, gt=0, description="divides logits before that")
    sharpen_mask_margin: float = Field(5.0, ge=0, description="the others lie so far below the smallest of all")
    sharpen_eval_only: bool = Field(True, description="whether the loss sees logits as they are")


class NeedleLossConfig(Section):
    """Weights of the terms beside the cross-entropy of the answer."""

    prediction: float = Field(0.3, ge=0, description="cross-entropy of the core's own answer after the read")
    write_cos: float = Field(
        1.0, ge=0, description="one minus the cosine of written and true value, at all needles (document: .2)"
    )
    key_nce: float = Field(
        0.5, ge=0, description="InfoNCE of the question's key against the sequence's keys, besides the gated weight"
    )
    key_cos: float = Field(1.0, ge=0, description="one minus the cosine of the question's key with its needle's")
    nce_temperature: float = Field(0.1, gt=0, description="of both InfoNCE terms")
    gate: float = Field(1.0, ge=0, description="binary cross-entropy of a learned gate with the needles' positions")
    addr_entropy_weight: float = Field(0.01, ge=0, description="entropy of keys' soft choice of a bucket, nats")


class NeedleTrainConfig(Section):
    """The optimiser; AdamW."""

    batch_size: int = Field(64, ge=1, description="sequences a step")
    lr: float = Field(3e-3, gt=0, description="peak learning rate")
    wd: float = Field(0.01, ge=0, description="weight decay")
    epochs: int = Field(7, ge=1, description="epochs")
    steps_per_epoch: int | None = Field(None, ge=1, description="steps of an epoch at most; null is all of the data")
    warmup_steps: int = Field(50, ge=0, description="steps over which the learning rate rises")
    lr_min_factor: float = Field(0.1, ge=0, le=1, description="share of the learning rate at the end (cosine)")
    gradient_clip: float = Field(1.0, gt=0, description="largest norm of a step's gradient")
    eval_batch_size: int = Field(100, ge=1, description="sequences that are evaluated at once")
    probe_every: int | None = Field(
        25,
        ge=1,
        description="steps between probes of validation accuracy inside an epoch, until one reaches .90; they change "
        "nothing that is learned; null: epochs' evaluations alone",
    )
    probe_size: int = Field(
        100, ge=1, description="validation sequences that a probe asks, the first ones: 2 to 5 % of training's time"
    )
