"""What changes over epochs beside λ: the share of true values in training's writes, learning rate, write strength."""

from __future__ import annotations

from pipeline.config.nce import LambdaScheduleConfig, NceConfig


def oracle_mix(config: NceConfig, epoch: int, since_opening: int, held: bool) -> float:
    """Share α of the true value in what training writes; evaluation has α = 0 at any time.

    Args:
        config: Section of the gate.
        epoch: From 1.
        since_opening: Epochs since the gate first opened that were not held, this one included; 0 before.
        held: Whether this epoch is held behind an opening.
    """
    if held or epoch <= config.warm_start_epochs:
        return 1.0
    if since_opening and config.oracle_mix_post_gate_epochs:
        done = min(1.0, (since_opening - 1) / config.oracle_mix_post_gate_epochs)
        start, end = config.oracle_mix_post_gate_start, config.oracle_mix_post_gate_min
    else:
        done = min(1.0, (epoch - config.warm_start_epochs) / config.oracle_mix_ramp_epochs)
        start, end = 1.0, config.oracle_mix_min
    return (1 - done) * start + done * end


def learning_rate_factor(config: NceConfig, epoch: int, restarting: bool) -> float:
    """Factor of the learning rate.

    Args:
        config: Section of the gate.
        epoch: From 1.
        restarting: Whether λ rose from 0 in this epoch or one of the few before it.
    """
    factor = 1.0 if epoch <= config.warm_start_epochs else config.lr_after_warm_factor
    return factor * (config.lr_warm_restart_factor if restarting else 1.0)


def write_strength_factor(config: NceConfig, risen: int) -> float:
    """Factor of the strength of writes in the ``risen``-th epoch of an opening with λ above 0; 0 is none."""
    schedule = config.write_strength_schedule
    return 1.0 + (schedule.mult_after_open - 1.0) * min(1.0, risen / schedule.steps)


def scheduled_lambda(config: LambdaScheduleConfig, before: float, step: int) -> float:
    """λ at a step from 1 on, part of the one before kept."""
    if config.increment is None:
        aim = config.start + (config.end - config.start) * min(1.0, step / config.epochs)
    else:
        aim = min(config.start + config.increment * step, config.end)
    kept = before if step > 1 else config.start
    return config.ema_alpha * kept + (1 - config.ema_alpha) * aim
