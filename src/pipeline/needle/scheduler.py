"""The gate of the contrastive loss: a state machine that decides before each epoch, as a pure function.

    state = State()
    for epoch in range(1, epochs + 1):
        state, decision = advance(config.nce, state, signals)   # signals: what the epoch before measured
        ...                                                     # train with decision.nce_lambda and the rest

The gate opens once reads are good enough (or a plateau, or a set epoch, forces it) and closes once averages have fallen
too low. While it is open, λ rises as long as reads are above their target, falls while they are below, and is held in
between. Every decision says why, and follows from configuration and signals alone: `pipeline.needle.gate_table`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pipeline.config.nce import NceConfig
from pipeline.needle.decisions import Decision, Signals, State
from pipeline.needle.ramps import learning_rate_factor, oracle_mix, scheduled_lambda, write_strength_factor


@dataclass(frozen=True)
class _Readiness:
    """What the signals say before the gate moves; ``missing`` names what opening still needs."""

    read: float | None
    write: float | None
    base: bool
    epoch_ready: bool
    plateau_ready: bool
    read_ready: bool
    low: str
    missing: str


def advance(config: NceConfig, state: State, signals: Signals) -> tuple[State, Decision]:
    """Decide the next epoch.

    Args:
        config: Section of the gate.
        state: From the epoch before; `State()` before the first.
        signals: What the epoch before measured; `Signals()` before the first.

    Returns:
        The state for the epoch after it, and the decision.
    """
    signals = Signals(_number(signals.val_acc), _number(signals.read_cos), _number(signals.write_cos))
    state = _observed(config, state, signals)
    ready = _readiness(config, state, signals)
    state, event, why_gate = _gate(config, state, ready)
    before = state.nce_lambda
    state, frozen, paused, why_lambda = _lambda(config, state, ready)
    rose, held = before == 0 < state.nce_lambda, state.open and state.hold_remaining > 0
    restart = config.lr_warm_restart_epochs if rose else state.restart_remaining
    state = replace(
        state,
        since_opening=state.since_opening + (state.openings > 0 and not held),
        ramp_over=state.ramp_over or _ramp_over(config, state),
        risen=state.risen + (state.nce_lambda > 0),
    )
    decision = Decision(
        epoch=state.epoch,
        gate="open" if state.open else "closed",
        event=event,
        reason=f"{why_gate}; {why_lambda}" if why_lambda else why_gate,
        nce_lambda=state.nce_lambda,
        read_ema=ready.read,
        write_ema=ready.write,
        epoch_ready=ready.epoch_ready,
        plateau_ready=ready.plateau_ready,
        read_ready=ready.read_ready,
        open_steps=state.open_steps,
        frozen=frozen,
        paused=paused,
        freeze_remaining=state.freeze_remaining,
        oracle_hold=held,
        oracle_mix=oracle_mix(config, state.epoch, state.since_opening, held),
        lr_factor=learning_rate_factor(config, state.epoch, restart > 0),
        write_strength_factor=write_strength_factor(config, state.risen),
        cooldown_batches=config.post_gate_write_cooldown_batches if rose else 0,
        open_fraction=state.open_epochs / state.epoch,
    )
    return replace(state, hold_remaining=state.hold_remaining - held, restart_remaining=max(0, restart - 1)), decision


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _observed(config: NceConfig, state: State, signals: Signals) -> State:
    """The next epoch begins: averages, accuracies and streaks with the last measurements."""
    read = state.read.with_(signals.read_cos, config.nce_read_ema_beta)
    mean = read.mean(config.nce_read_ema_beta)
    at_threshold = signals.read_cos is not None and mean is not None and mean >= config.nce_gate_read_threshold
    accuracies = state.accuracies if signals.val_acc is None else (*state.accuracies, signals.val_acc)
    return replace(
        state,
        epoch=state.epoch + 1,
        read=read,
        write=state.write.with_(signals.write_cos, config.nce_write_ema_beta),
        read_streak=state.read_streak + 1 if at_threshold else 0,
        accuracies=accuracies[-config.nce_gate_plateau_epochs :],
    )


def _readiness(config: NceConfig, state: State, signals: Signals) -> _Readiness:
    read, write = state.read.mean(config.nce_read_ema_beta), state.write.mean(config.nce_write_ema_beta)
    epoch_ready = state.epoch >= config.nce_gate_start_epoch
    full = len(state.accuracies) == config.nce_gate_plateau_epochs
    plateau = full and max(state.accuracies) - min(state.accuracies) <= config.nce_gate_plateau_eps
    base = state.read_streak > 0
    reads = base and state.read_streak >= config.nce_gate_read_patience
    low = _below("read", read, config.nce_gate_read_cos_off) or _below("write", write, config.nce_gate_write_cos_off)
    missing = []
    if not epoch_ready:
        missing.append(f"epoch {state.epoch} is before nce_gate_start_epoch={config.nce_gate_start_epoch}")
    if not reads and (config.nce_gate_require_read or not (config.nce_gate_allow_plateau and plateau)):
        missing.append(
            f"read average {_text(read)} reached {config.nce_gate_read_threshold:g} for {state.read_streak} epochs"
            f" of {max(1, config.nce_gate_read_patience)}"
        )
    if config.nce_gate_require_plateau and not plateau:
        missing.append(f"no plateau of {config.nce_gate_plateau_epochs} epochs")
    for name, value, least in (
        ("read", signals.read_cos, config.nce_gate_read_cos),
        ("write", signals.write_cos, config.nce_gate_write_cos),
    ):
        if least is not None and (value is None or value < least):
            missing.append(f"last {name} cosine {_text(value)} is not {least:g}")
    if low:
        missing.append(low)
    return _Readiness(read, write, base, epoch_ready, plateau, reads, low, ", ".join(missing))


def _below(name: str, mean: float | None, off: float | None) -> str:
    return f"{name} average {mean:.4f} is below {off:g}" if mean is not None and off is not None and mean < off else ""


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _gate(config: NceConfig, state: State, ready: _Readiness) -> tuple[State, str, str]:
    """Open, close or leave the gate: the state with it, the event, and why."""
    if state.open:
        state = replace(state, low_streak=state.low_streak + 1 if ready.low else 0)
        kept = _kept_open(config, state)
        if state.low_streak >= config.nce_close_patience and not kept:
            shut = State(
                epoch=state.epoch,
                openings=state.openings,
                open_epochs=state.open_epochs,
                since_opening=state.since_opening,
                read=state.read,
                write=state.write,
                accuracies=state.accuracies,
            )
            return shut, "closed", f"closes: {ready.low}, for {state.low_streak} epochs"
        why = f"stays open: {ready.low}, but {kept or 'not for long enough'}" if ready.low else "stays open"
        return _one_more(state), "none", why
    if not ready.missing:
        reads = f"read average {_text(ready.read)} is at {config.nce_gate_read_threshold:g} or above"
        why = reads if ready.read_ready else f"plateau of {config.nce_gate_plateau_epochs} epochs"
        return _opened(config, state), "opened", f"opens: {why}"
    force = config.nce_force_open_epoch
    if force is not None and state.epoch >= force and not state.openings:
        return _opened(config, state), "forced", f"opens: forced in epoch {force}, although {ready.missing}"
    return state, "none", f"stays closed: {ready.missing}"


def _kept_open(config: NceConfig, state: State) -> str:
    """Why the gate may not close yet; empty if it may."""
    if state.open_steps < config.nce_min_open_epochs:
        return f"it was open for {state.open_steps} epochs of nce_min_open_epochs={config.nce_min_open_epochs}"
    return "λ's rise is over and the gate sticks" if config.nce_sticky_after_ramp and state.ramp_over else ""


def _ramp_over(config: NceConfig, state: State) -> bool:
    """Whether λ has risen as far as it will in this opening."""
    steps = config.nce_lambda_ramp_epochs
    if config.nce_lambda_source == "schedule":
        schedule = config.info_nce_lambda
        rise = schedule.end - schedule.start
        steps = math.ceil(rise / schedule.increment) if schedule.increment else schedule.epochs
    if not state.lambda_steps:
        return False
    return state.nce_lambda >= config.lambda_end if steps is None else state.lambda_steps >= steps


def _opened(config: NceConfig, state: State) -> State:
    opened = replace(
        state,
        open=True,
        openings=state.openings + 1,
        low_streak=0,
        hold_remaining=config.nce_gate_oracle_hold,
        freeze_remaining=config.nce_lambda_freeze_epochs_after_open,
    )
    return _one_more(opened)


def _one_more(state: State) -> State:
    return replace(state, open_steps=state.open_steps + 1, open_epochs=state.open_epochs + 1)


def _lambda(config: NceConfig, state: State, ready: _Readiness) -> tuple[State, bool, bool, str]:
    """λ of the epoch: the state with it, whether it is held, whether it is paused, and why it is what it is."""
    if not state.open:
        return replace(state, nce_lambda=0.0), False, False, ""
    if state.epoch <= config.warmup:
        return replace(state, nce_lambda=0.0), False, False, f"λ is 0 up to nce_warmup_epochs={config.warmup}"
    before, frozen = state.nce_lambda, state.lambda_steps > 0 and state.freeze_remaining > 0
    if frozen:
        state, value, why = (
            replace(state, freeze_remaining=state.freeze_remaining - 1),
            before,
            "held behind the opening",
        )
    else:
        state = replace(state, lambda_steps=state.lambda_steps + 1)
        value, why = _steered(config, state, ready.read)
    paused = config.nce_lambda_pause_below_read and not ready.base
    if paused:
        value, why = config.nce_lambda_floor, f"paused, read average {_text(ready.read)} is below the threshold"
    value = min(max(value, 0.0), config.nce_lambda_max)
    return replace(state, nce_lambda=value), frozen, paused, f"λ {before:.6g} to {value:.6g}: {why}"


def _steered(config: NceConfig, state: State, read: float | None) -> tuple[float, str]:
    """The next λ of an opening, before its bound, and why."""
    if config.nce_lambda_source == "schedule":
        value = scheduled_lambda(config.info_nce_lambda, state.nce_lambda, state.lambda_steps)
        return value, f"step {state.lambda_steps} of the schedule"
    floor, end, target = config.nce_lambda_floor, config.lambda_end, config.read_target
    if config.nce_lambda_ramp_epochs is not None:
        end = floor + (end - floor) * min(1.0, state.lambda_steps / config.nce_lambda_ramp_epochs)
    value = max(state.nce_lambda, floor)
    if read is None:
        return value, "no read was measured"
    if read > target + config.nce_read_hysteresis:
        return min(value + config.nce_lambda_increment, end), f"read average {read:.4f} is above {target:g}"
    if read < target - config.nce_read_hysteresis:
        return max(floor, value * config.nce_lambda_backoff), f"read average {read:.4f} is below {target:g}"
    return value, f"read average {read:.4f} is near {target:g}"
