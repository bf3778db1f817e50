"""What the gate's state machine sees, remembers and decides."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Signals:
    """What the epoch before measured; None is not measured, and not a number counts as that.

    Attributes:
        val_acc: Accuracy on validation sequences, evaluated without true values.
        read_cos: Mean cosine of cleaned-up reads with the true values.
        write_cos: Mean cosine of written values with the true ones.
    """

    val_acc: float | None = None
    read_cos: float | None = None
    write_cos: float | None = None


@dataclass(frozen=True)
class Average:
    """Exponential moving average of ``count`` numbers, without the bias of a start at 0 (Kingma & Ba 2015, §3)."""

    total: float = 0.0
    count: int = 0

    def with_(self, value: float | None, beta: float) -> Average:
        """With one more number; None adds none."""
        return self if value is None else Average(beta * self.total + (1 - beta) * value, self.count + 1)

    def mean(self, beta: float) -> float | None:
        """The average; None without any number."""
        return self.total / (1 - beta**self.count) if self.count else None


@dataclass(frozen=True)
class State:
    """What the machine remembers from epoch to epoch.

    Attributes:
        epoch: Epochs decided so far.
        open: Whether the gate is.
        openings: How often it opened.
        open_epochs: Epochs it was open, all openings together.
        open_steps: Epochs of this opening.
        nce_lambda: The last λ.
        lambda_steps: Epochs of this opening behind the warm-up that were not frozen.
        freeze_remaining: Epochs for which λ will still be held.
        ramp_over: Whether λ's rise has come to its end in this opening.
        risen: Epochs of this opening with λ above 0.
        restart_remaining: Epochs for which the learning rate will still be lowered.
        hold_remaining: Epochs for which true values will still be written.
        since_opening: Epochs since the first opening that were not held.
        read_streak: Epochs in a row at the threshold.
        low_streak: Epochs of this opening in a row below a closing level.
        read: Average read cosine.
        write: Average write cosine.
        accuracies: The last ones, as many as make a plateau.
    """

    epoch: int = 0
    open: bool = False
    openings: int = 0
    open_epochs: int = 0
    open_steps: int = 0
    nce_lambda: float = 0.0
    lambda_steps: int = 0
    freeze_remaining: int = 0
    ramp_over: bool = False
    risen: int = 0
    restart_remaining: int = 0
    hold_remaining: int = 0
    since_opening: int = 0
    read_streak: int = 0
    low_streak: int = 0
    read: Average = Average()
    write: Average = Average()
    accuracies: tuple[float, ...] = ()


@dataclass(frozen=True)
class Decision:
    """How an epoch is trained, and why; fields are columns of the telemetry table.

    Attributes:
        epoch: From 1.
        gate: ``open`` or ``closed``.
        event: ``opened``, ``forced``, ``closed`` or ``none``.
        reason: In words.
        nce_lambda: Weight of the contrastive loss.
        read_ema: Average read cosine; None before the first.
        write_ema: Average write cosine; None before the first.
        epoch_ready: Whether the gate may be open by now.
        plateau_ready: Whether accuracies make a plateau.
        read_ready: Whether reads have been good enough for long enough.
        open_steps: Epochs of this opening, this one included.
        frozen: Whether λ is held.
        paused: Whether λ is at its floor because reads are below the threshold.
        freeze_remaining: Epochs for which λ will still be held behind this one.
        oracle_hold: Whether this epoch writes true values because the gate opened.
        oracle_mix: Share of true values in training's writes.
        lr_factor: Of the learning rate.
        write_strength_factor: Of the strength of writes.
        cooldown_batches: First batches of the epoch in which write heads are not updated.
        open_fraction: Share of epochs so far, this one included, in which the gate was open.
    """

    epoch: int
    gate: str
    event: str
    reason: str
    nce_lambda: float
    read_ema: float | None
    write_ema: float | None
    epoch_ready: bool
    plateau_ready: bool
    read_ready: bool
    open_steps: int
    frozen: bool
    paused: bool
    freeze_remaining: int
    oracle_hold: bool
    oracle_mix: float
    lr_factor: float
    write_strength_factor: float
    cooldown_batches: int
    open_fraction: float
