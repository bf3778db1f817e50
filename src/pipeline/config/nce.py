"""Settings of the gated contrastive loss: when its gate opens and closes, the weight λ, ramps, brakes and alarms.

Keys stand under the names of the document. Epochs count from 1; a decision for an epoch is taken before it, from what
was measured up to the end of the one before. Read cosines are those of cleaned-up reads: raw ones of n pairs that share
a bucket cannot exceed 1/sqrt(n). The temperature of the loss stands in the section of losses.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.config.section import Section


class LambdaScheduleConfig(Section):
    """λ by a schedule, whose clock runs while the gate is open and nothing is frozen."""

    start: float = Field(0.0, ge=0, description="λ before the first step")
    end: float = Field(0.02, ge=0, description="λ at the end")
    max: float = Field(0.02, ge=0, description="bound of λ")
    epochs: int = Field(5, ge=1, description="steps from start to end")
    increment: float | None = Field(None, gt=0, description="rise a step, up to end; null follows from epochs")
    ema_alpha: float = Field(0.3, ge=0, lt=1, description="share of the λ before that is kept at each step")

    @model_validator(mode="after")
    def _rises_one_way(self) -> Self:
        if self.start > self.end or self.end > self.max:
            raise ValueError(f"expected start <= end <= max, found {self.start}, {self.end}, {self.max}")
        if self.increment is not None and self.epochs != type(self).model_fields["epochs"].default:
            raise ValueError("increment and epochs both say how fast λ rises: leave out one of them")
        return self


class WriteStrengthConfig(Section):
    """How the strength of writes changes while λ is above 0."""

    mult_after_open: float = Field(1.0, gt=0, description="factor of the strength at the end; the document has 1.15")
    steps: int = Field(3, ge=1, description="epochs from 1 to that factor, in even steps")


class NceConfig(Section):
    """The gate of the contrastive loss, its weight λ, and what changes with them."""

    nce_gate_start_epoch: int = Field(3, ge=1, description="first epoch in which the gate may be open")
    nce_gate_read_threshold: float = Field(0.50, ge=0, le=1, description="average read cosine that is ready")
    nce_gate_read_patience: int = Field(0, ge=0, description="epochs in a row at the threshold; 0 asks for one")
    nce_gate_require_read: bool = Field(False, description="true: ready reads are needed; false: a plateau will do too")
    nce_gate_allow_plateau: bool = Field(True, description="whether a plateau may stand in for ready reads")
    nce_gate_require_plateau: bool = Field(False, description="whether a plateau is needed besides ready reads")
    nce_gate_plateau_epochs: int = Field(2, ge=2, description="epochs whose accuracies make a plateau")
    nce_gate_plateau_eps: float = Field(0.002, ge=0, description="accuracies of a plateau differ by so much at most")
    nce_gate_read_cos: float | None = Field(
        None, ge=0, le=1, description="read cosine of the last epoch itself that opening needs too; null asks nothing"
    )
    nce_gate_write_cos: float | None = Field(
        None, ge=0, le=1, description="write cosine of the last epoch itself that opening needs too; null asks nothing"
    )
    nce_force_open_epoch: int | None = Field(
        None, ge=1, description="a gate that was never open opens in this epoch whatever was measured; null: never"
    )
    nce_read_ema_beta: float = Field(0.8, ge=0, lt=1, description="share kept of the average read cosine each epoch")
    nce_write_ema_beta: float = Field(0.8, ge=0, lt=1, description="the same of the average write cosine")

    nce_gate_read_cos_off: float | None = Field(
        0.40, ge=0, le=1, description="an average read cosine below it closes the gate; null: reads never do"
    )
    nce_gate_write_cos_off: float | None = Field(
        None, ge=0, le=1, description="an average write cosine below it closes the gate; null: writes never do"
    )
    nce_close_patience: int = Field(2, ge=1, description="epochs in a row below before the gate closes")
    nce_min_open_epochs: int = Field(1, ge=1, description="epochs that the gate stays open at least")
    nce_sticky_after_ramp: bool = Field(False, description="whether the gate stays open once λ's rise is over")

    nce_lambda_source: Literal["gate", "schedule"] = Field(
        "gate", description="gate: λ follows read cosines; schedule: λ follows info_nce_lambda; 0 while closed in both"
    )
    nce_warmup_epochs: int | None = Field(
        None, ge=0, description="λ is 0 up to this epoch, open or not; null is nce_gate_start_epoch"
    )
    nce_lambda_floor: float = Field(0.0, ge=0, description="least λ of an open gate after the warm-up")
    nce_lambda_increment: float = Field(0.01, gt=0, description="rise of λ an epoch while reads are above their target")
    nce_lambda_end: float | None = Field(None, ge=0, description="where increments of λ end; null is nce_lambda_max")
    nce_lambda_max: float = Field(0.02, ge=0, description="bound of λ, whatever its source")
    nce_lambda_ramp_epochs: int | None = Field(
        None, ge=1, description="λ may come near its end in so many even steps at most; null: increments alone limit it"
    )
    nce_read_target: float | None = Field(
        None, ge=0, le=1, description="average read cosine that λ is steered by; null is nce_gate_read_threshold"
    )
    nce_read_hysteresis: float = Field(0.02, ge=0, description="λ stays as it is within so much of the target")
    nce_lambda_backoff: float = Field(0.8, ge=0, lt=1, description="factor of λ an epoch while reads are below it")
    nce_lambda_pause_below_read: bool = Field(
        False, description="whether λ falls to its floor while the average read cosine is below the gate's threshold"
    )
    nce_lambda_freeze_epochs_after_open: int = Field(
        1, ge=0, description="epochs for which λ is held behind its first one of an opening"
    )
    info_nce_lambda: LambdaScheduleConfig = Field(LambdaScheduleConfig(), description="of nce_lambda_source=schedule")

    nce_gate_oracle_hold: int = Field(1, ge=0, description="epochs behind an opening in which true values are written")
    warm_start_epochs: int = Field(3, ge=0, description="first epochs in which training writes true values alone")
    oracle_mix_ramp_epochs: int = Field(5, ge=1, description="epochs from there to oracle_mix_min, in even steps")
    oracle_mix_min: float = Field(0.5, ge=0, le=1, description="share of the true value in training's writes then")
    oracle_mix_post_gate_start: float = Field(0.6, ge=0, le=1, description="that share behind the first opening")
    oracle_mix_post_gate_min: float = Field(0.35, ge=0, le=1, description="that share at the end of the ramp there")
    oracle_mix_post_gate_epochs: int = Field(
        3, ge=0, description="epochs of the ramp there; 0: openings change nothing"
    )

    post_gate_write_cooldown_batches: int = Field(
        0,
        ge=0,
        description="batches behind a rise of λ from 0 in which write heads are not updated; the document has 2",
    )
    lr_after_warm_factor: float = Field(
        1.0, gt=0, description="factor of the learning rate behind the warm start; the document has .65"
    )
    lr_warm_restart_factor: float = Field(
        0.5, gt=0, description="factor of the learning rate behind a rise of λ from 0"
    )
    lr_warm_restart_epochs: int = Field(2, ge=0, description="epochs that that factor lasts")
    write_strength_schedule: WriteStrengthConfig = Field(WriteStrengthConfig(), description="strength of writes")

    @property
    def read_target(self) -> float:
        """What λ is steered by."""
        return self.nce_gate_read_threshold if self.nce_read_target is None else self.nce_read_target

    @property
    def lambda_end(self) -> float:
        """Where increments of λ end."""
        return self.nce_lambda_max if self.nce_lambda_end is None else self.nce_lambda_end

    @property
    def warmup(self) -> int:
        """Last epoch in which λ is 0 whatever the gate does."""
        return self.nce_gate_start_epoch if self.nce_warmup_epochs is None else self.nce_warmup_epochs

    @model_validator(mode="after")
    def _gate_can_open_and_close(self) -> Self:
        if self.nce_gate_require_plateau and not self.nce_gate_require_read:
            raise ValueError("nce_gate_require_plateau=true adds to ready reads: it needs nce_gate_require_read=true")
        for on, off, name in (
            (self.nce_gate_read_threshold, self.nce_gate_read_cos_off, "nce_gate_read_cos_off"),
            (self.nce_gate_read_cos, self.nce_gate_read_cos_off, "nce_gate_read_cos_off"),
            (self.nce_gate_write_cos, self.nce_gate_write_cos_off, "nce_gate_write_cos_off"),
        ):
            if on is not None and off is not None and off >= on:
                raise ValueError(f"{name}={off} would close what opens at {on}: set it lower, or null")
        if self.nce_force_open_epoch is not None and self.nce_force_open_epoch < self.nce_gate_start_epoch:
            raise ValueError(
                f"nce_force_open_epoch={self.nce_force_open_epoch} is before nce_gate_start_epoch="
                f"{self.nce_gate_start_epoch}"
            )
        if self.nce_gate_read_cos_off is None and self.nce_gate_write_cos_off is None and self.nce_sticky_after_ramp:
            raise ValueError("nce_sticky_after_ramp=true keeps a gate from closing that never closes: leave it out")
        return self

    @model_validator(mode="after")
    def _lambda_has_one_source(self) -> Self:
        fields = type(self).model_fields
        of_gate = ("floor", "increment", "end", "ramp_epochs", "backoff", "pause_below_read")
        unread = [f"nce_lambda_{key}" for key in of_gate] + ["nce_read_target", "nce_read_hysteresis"]
        if self.nce_lambda_source == "gate":
            unread = ["info_nce_lambda"]
        changed = [key for key in unread if getattr(self, key) != fields[key].default]
        if changed:
            raise ValueError(f"nce_lambda_source={self.nce_lambda_source} does not read {', '.join(changed)}")
        if self.nce_lambda_source == "schedule" and self.info_nce_lambda.max > self.nce_lambda_max:
            raise ValueError(
                f"info_nce_lambda.max={self.info_nce_lambda.max} is above nce_lambda_max={self.nce_lambda_max}"
            )
        if self.nce_lambda_source == "gate" and not self.nce_lambda_floor <= self.lambda_end <= self.nce_lambda_max:
            raise ValueError(
                f"expected nce_lambda_floor <= nce_lambda_end <= nce_lambda_max, found {self.nce_lambda_floor}, "
                f"{self.lambda_end}, {self.nce_lambda_max}"
            )
        return self

    @model_validator(mode="after")
    def _ramps_fall(self) -> Self:
        if self.oracle_mix_post_gate_min > self.oracle_mix_post_gate_start:
            raise ValueError("oracle_mix_post_gate_min is above oracle_mix_post_gate_start: shares of true values fall")
        return self


class AlarmConfig(Section):
    """What stops a training that goes wrong."""

    drop_threshold: float = Field(0.03, ge=0, lt=1, description="accuracy lost since the gate opened that is too much")
    drop_patience: int = Field(2, ge=1, description="evaluations in a row with such a loss before training stops")
    drop_level: float = Field(0.05, gt=0, lt=1, description="level of the paired test, shared by all evaluations")
    tripwire_read: float | None = Field(0.5, ge=0, le=1, description="least read cosine, cleaned up; null: none")
    tripwire_write: float | None = Field(0.01, ge=0, le=1, description="least write cosine; null: none")
    tripwire_residual: float | None = Field(
        5e-4, ge=0, description="how far the relative residual may exceed the solver's tolerance; null: any"
    )
    tripwire_val_acc_min: float | None = Field(None, ge=0, le=1, description="least validation accuracy; null: none")
    tripwire_start_epoch: int | None = Field(
        None, ge=1, description="first epoch in which read, write and accuracy are watched; null: once the gate opened"
    )
