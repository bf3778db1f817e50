"""Settings of the gate: what contradicts itself is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.config.nce import NceConfig


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nce_gate_read_threshold": 0.4}, "nce_gate_read_cos_off=0.4 would close what opens at 0.4"),
        ({"nce_gate_read_cos": 0.3}, "nce_gate_read_cos_off=0.4 would close what opens at 0.3"),
        ({"nce_gate_write_cos": 0.3, "nce_gate_write_cos_off": 0.5}, "nce_gate_write_cos_off=0.5 would close"),
        ({"nce_force_open_epoch": 2}, "nce_force_open_epoch=2 is before nce_gate_start_epoch=3"),
        ({"nce_sticky_after_ramp": True, "nce_gate_read_cos_off": None}, "never closes"),
        ({"nce_gate_require_plateau": True}, "it needs nce_gate_require_read=true"),
        ({"info_nce_lambda": {"epochs": 7}}, "nce_lambda_source=gate does not read info_nce_lambda"),
        ({"nce_lambda_source": "schedule", "nce_lambda_floor": 0.001}, "schedule does not read nce_lambda_floor"),
        ({"nce_lambda_source": "schedule", "nce_lambda_max": 0.01}, r"info_nce_lambda.max=0\.02 is above"),
        ({"nce_lambda_end": 0.05}, "expected nce_lambda_floor <= nce_lambda_end <= nce_lambda_max"),
        ({"nce_lambda_floor": 0.03}, "expected nce_lambda_floor <= nce_lambda_end"),
        ({"info_nce_lambda": {"start": 0.03}}, "expected start <= end <= max"),
        ({"info_nce_lambda": {"epochs": 3, "increment": 0.001}}, "leave out one of them"),
        ({"oracle_mix_post_gate_min": 0.7}, "oracle_mix_post_gate_min is above"),
        ({"nce_lambda_maximum": 0.1}, "Extra inputs"),
    ],
)
def test_contradictions_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        NceConfig.model_validate(values)


def test_what_is_left_out_follows_from_the_rest() -> None:
    config = NceConfig(nce_gate_start_epoch=6, nce_gate_read_threshold=0.63)
    assert (config.warmup, config.read_target, config.lambda_end) == (6, 0.63, 0.02)
    assert NceConfig(nce_lambda_max=0.05).lambda_end == 0.05
    assert NceConfig(nce_lambda_max=0.05, nce_lambda_end=0.03).lambda_end == 0.03
    assert NceConfig(nce_warmup_epochs=0, nce_read_target=0.66).warmup == 0
