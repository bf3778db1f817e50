"""The gate's state machine: what holds for every configuration and every run."""

from __future__ import annotations

import io
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.config.nce import NceConfig
from pipeline.needle.decisions import Average, Signals
from pipeline.needle.gate_table import decided, decisions_of, gate_table, replayed, signals_of

cosines = st.none() | st.floats(0, 1) | st.just(float("nan"))
signals = st.builds(Signals, val_acc=cosines, read_cos=cosines, write_cos=cosines)
runs = st.lists(signals, min_size=1, max_size=30)


@st.composite
def configs(draw: st.DrawFn) -> NceConfig:
    """Any configuration that is allowed."""
    fields = {
        "nce_gate_start_epoch": st.integers(1, 6),
        "nce_gate_read_threshold": st.floats(0.2, 0.9),
        "nce_gate_read_patience": st.integers(0, 3),
        "nce_gate_require_read": st.booleans(),
        "nce_gate_allow_plateau": st.booleans(),
        "nce_gate_plateau_eps": st.floats(0, 0.5),
        "nce_gate_write_cos": st.none() | st.floats(0.3, 0.6),
        "nce_force_open_epoch": st.none() | st.integers(1, 8),
        "nce_gate_read_cos_off": st.none() | st.floats(0, 0.5),
        "nce_gate_write_cos_off": st.none() | st.floats(0, 0.3),
        "nce_close_patience": st.integers(1, 3),
        "nce_min_open_epochs": st.integers(1, 5),
        "nce_sticky_after_ramp": st.booleans(),
        "nce_warmup_epochs": st.none() | st.integers(0, 6),
        "nce_lambda_freeze_epochs_after_open": st.integers(0, 4),
        "nce_gate_oracle_hold": st.integers(0, 3),
        "oracle_mix_post_gate_epochs": st.integers(0, 4),
    }
    own = {
        "nce_lambda_floor": st.floats(0, 0.005),
        "nce_lambda_increment": st.floats(1e-4, 0.02),
        "nce_lambda_end": st.floats(0.005, 0.02),
        "nce_lambda_ramp_epochs": st.none() | st.integers(1, 5),
        "nce_lambda_backoff": st.floats(0, 0.95),
        "nce_lambda_pause_below_read": st.booleans(),
        "nce_read_target": st.none() | st.floats(0.2, 0.9),
        "nce_read_hysteresis": st.floats(0, 0.2),
    }
    source = draw(st.sampled_from(["gate", "schedule"]))
    values: dict[str, Any] = {"nce_lambda_source": source}
    values |= {name: draw(strategy) for name, strategy in (fields | (own if source == "gate" else {})).items()}
    try:
        return NceConfig.model_validate(values)
    except ValidationError:
        assume(False)
        raise


@given(configs(), runs)
@settings(deadline=None)
def test_lambda_is_within_its_bounds_and_zero_while_closed(config: NceConfig, seen: list[Signals]) -> None:
    opened = 0
    for number, made in enumerate(decided(config, seen)[1], 1):
        assert 0 <= made.nce_lambda <= config.nce_lambda_max
        opened += made.gate == "open"
        if made.gate == "closed":
            assert made.nce_lambda == 0 and made.open_steps == 0 and not (made.frozen or made.paused)
        elif made.epoch > config.warmup:
            assert config.nce_lambda_source == "schedule" or made.nce_lambda >= config.nce_lambda_floor
        else:
            assert made.nce_lambda == 0
        assert made.epoch == number and made.open_fraction == opened / number
        assert made.reason and 0 < made.lr_factor <= 1
        assert min(config.oracle_mix_min, config.oracle_mix_post_gate_min) <= made.oracle_mix <= 1


@given(configs(), runs)
@settings(deadline=None)
def test_lambda_is_held_raised_and_lowered_as_said(config: NceConfig, seen: list[Signals]) -> None:
    made, before, frozen = decided(config, seen)[1], 0.0, 0
    for one in made:
        frozen = 0 if one.event in ("opened", "forced") else frozen + one.frozen
        assert frozen <= config.nce_lambda_freeze_epochs_after_open
        steered = one.gate == "open" and one.epoch > config.warmup and config.nce_lambda_source == "gate"
        if one.paused:
            assert one.nce_lambda == config.nce_lambda_floor
        elif one.frozen:
            assert one.nce_lambda == before
        elif steered and one.read_ema is not None:
            start, distance = max(before, config.nce_lambda_floor), one.read_ema - config.read_target
            if distance > config.nce_read_hysteresis:
                assert start <= one.nce_lambda <= start + config.nce_lambda_increment + 1e-15
            elif distance < -config.nce_read_hysteresis:
                assert one.nce_lambda == max(config.nce_lambda_floor, start * config.nce_lambda_backoff)
            else:
                assert one.nce_lambda == start
        before = one.nce_lambda


@given(configs(), runs)
@settings(deadline=None)
def test_the_gate_moves_only_when_it_may(config: NceConfig, seen: list[Signals]) -> None:
    was, steps, openings = "closed", 0, 0
    for made, last in zip(decided(config, seen)[1], seen, strict=True):
        if made.event in ("opened", "forced"):
            openings += 1
            assert (was, made.gate, made.open_steps) == ("closed", "open", 1)
            assert made.epoch >= config.nce_gate_start_epoch
            if made.event == "forced":
                assert config.nce_force_open_epoch is not None and made.epoch >= config.nce_force_open_epoch
                assert openings == 1
            else:
                assert made.read_ready or not config.nce_gate_require_read
                if config.nce_gate_write_cos is not None:
                    assert last.write_cos is not None and last.write_cos >= config.nce_gate_write_cos
        elif made.event == "closed":
            assert (was, made.gate) == ("open", "closed") and steps >= config.nce_min_open_epochs
            off, write_off = config.nce_gate_read_cos_off, config.nce_gate_write_cos_off
            low_read = off is not None and made.read_ema is not None and made.read_ema < off
            assert low_read or (write_off is not None and made.write_ema is not None and made.write_ema < write_off)
        else:
            assert made.gate == was
        was, steps = made.gate, made.open_steps


@given(configs(), runs)
@settings(deadline=None)
def test_every_decision_follows_again_from_the_table(config: NceConfig, seen: list[Signals]) -> None:
    state, made = decided(config, seen)
    file = io.BytesIO()
    pq.write_table(gate_table(config, list(zip(seen, made, strict=True))), file)
    table = pq.read_table(file)
    assert decisions_of(table) == made
    assert replayed(table) == made == replayed(table.drop_columns(["reason", "nce_lambda"]))
    assert decided(config, signals_of(table))[0] == state  # training goes on from it


@given(st.floats(0.01, 1), st.floats(0, 0.99), st.integers(1, 50))
def test_an_average_of_equal_numbers_is_that_number_from_the_first_on(value: float, beta: float, count: int) -> None:
    average = Average()
    assert average.mean(beta) is None
    for _ in range(count):
        average = average.with_(value, beta)
        assert average.mean(beta) == pytest.approx(value)
