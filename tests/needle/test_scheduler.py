"""The gate's state machine: each transition by hand."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.config.nce import NceConfig
from pipeline.errors import DataError
from pipeline.needle.decisions import Average, Decision, Signals, State
from pipeline.needle.gate_table import decided, gate_table, replayed
from pipeline.needle.scheduler import advance

GUARD = {
    "nce_gate_start_epoch": 6,
    "nce_gate_require_read": True,
    "nce_gate_read_threshold": 0.63,
    "nce_gate_read_patience": 1,
    "nce_lambda_floor": 0.001,
    "nce_lambda_increment": 0.001,
    "nce_lambda_backoff": 0.6,
    "nce_lambda_pause_below_read": True,
    "nce_read_target": 0.66,
    "post_gate_write_cooldown_batches": 2,
    "lr_after_warm_factor": 0.65,
    "lr_warm_restart_epochs": 3,
    "write_strength_schedule": {"mult_after_open": 1.15, "steps": 3},
}
"""Section of the document's guard for length 768."""

OPEN = {"nce_gate_start_epoch": 1, "nce_warmup_epochs": 0, "nce_force_open_epoch": 1, "nce_read_ema_beta": 0.0}
"""A gate that is open from the start, and looks at the last read cosine alone."""


def decisions(values: dict[str, Any], reads: list[float | None], **more: list[float | None]) -> list[Decision]:
    """One decision before anything was measured, then one behind each read cosine."""
    seen = [Signals(read_cos=read, **{k: v[i] for k, v in more.items()}) for i, read in enumerate(reads)]
    return decided(NceConfig.model_validate(values), [Signals(), *seen])[1]


def test_a_replay_is_not_what_the_table_claims() -> None:
    config = NceConfig.model_validate(OPEN)
    seen = [Signals(), Signals(read_cos=0.9), Signals(read_cos=0.9)]
    table = gate_table(config, list(zip(seen, decided(config, seen)[1], strict=True)))
    other = table.set_column(
        table.schema.get_field_index("seen_read_cos"), "seen_read_cos", [[None, 0.1, 0.1]]
    ).replace_schema_metadata(table.schema.metadata)
    assert [made.nce_lambda for made in replayed(table)] == [0.0, 0.0, 0.01]
    assert [made.nce_lambda for made in replayed(other)] == [0.0, 0.0, 0.0]
    with pytest.raises(DataError, match=r"no engram\.nce in its metadata"):
        replayed(table.replace_schema_metadata(None))
    with pytest.raises(DataError, match="no column seen_read_cos"):
        replayed(table.drop_columns(["seen_read_cos"]))


def test_the_documents_guard() -> None:
    made = decisions(GUARD, [0.3, 0.6, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75])
    assert [one.gate for one in made] == ["closed"] * 5 + ["open"] * 5
    assert [one.nce_lambda for one in made] == pytest.approx([0] * 6 + [0.002, 0.002, 0.003, 0.004])
    assert [one.frozen for one in made] == [False] * 7 + [True, False, False]
    assert [one.oracle_hold for one in made] == [False] * 5 + [True] + [False] * 4
    assert [one.oracle_mix for one in made] == pytest.approx(
        [1, 1, 1, 0.9, 0.8, 1.0, 0.6, 0.6 - 0.25 / 3, 0.6 - 0.5 / 3, 0.35]
    )
    assert [one.lr_factor for one in made] == pytest.approx([1] * 3 + [0.65] * 3 + [0.325] * 3 + [0.65])
    assert [one.cooldown_batches for one in made] == [0] * 6 + [2] + [0] * 3
    assert [one.write_strength_factor for one in made] == pytest.approx([1] * 6 + [1.05, 1.1, 1.15, 1.15])
    assert made[-1].open_fraction == 0.5
    assert "opens: read average" in made[5].reason and "held behind the opening" in made[7].reason


def test_reads_below_the_threshold_pause_lambda_even_while_it_is_frozen() -> None:
    made = decisions(GUARD | {"nce_read_ema_beta": 0.0, "nce_gate_read_cos_off": 0.1}, [0.9] * 6 + [0.5, 0.9])
    assert [one.nce_lambda for one in made[6:]] == pytest.approx([0.002, 0.001, 0.002])
    assert [(one.paused, one.frozen) for one in made[6:]] == [(False, False), (True, True), (False, False)]
    assert "paused" in made[7].reason


def test_backoff_halves_and_the_band_holds() -> None:
    values = OPEN | {
        "nce_lambda_freeze_epochs_after_open": 0,
        "nce_lambda_backoff": 0.5,
        "nce_read_target": 0.6,
        "nce_gate_read_cos_off": None,
    }
    made = decisions(values, [0.9, 0.9, 0.61, 0.59, 0.5, 0.3, 0.63])
    assert [one.nce_lambda for one in made] == pytest.approx([0, 0.01, 0.02, 0.02, 0.02, 0.01, 0.005, 0.015])
    assert [made[i].reason.split("read average")[1].split(" ")[3] for i in (2, 3, 5)] == ["above", "near", "below"]


def test_a_ramp_bounds_the_rise() -> None:
    values = OPEN | {"nce_lambda_ramp_epochs": 4, "nce_lambda_freeze_epochs_after_open": 0, "nce_lambda_increment": 1.0}
    made = decisions(values, [0.9] * 5)
    assert [one.nce_lambda for one in made] == pytest.approx([0, 0.01, 0.015, 0.02, 0.02, 0.02])


def test_the_schedule_is_the_only_source_when_it_is_chosen() -> None:
    values = OPEN | {"nce_lambda_source": "schedule", "nce_lambda_freeze_epochs_after_open": 0}
    made = decisions(values, [0.9] * 6)
    assert [one.nce_lambda for one in made[:3]] == pytest.approx([0.0028, 0.00644, 0.010332])  # document: .0028 first
    assert 0.0199 > made[5].nce_lambda > 0.0190 and made[6].nce_lambda <= 0.02
    steps = decisions(values | {"info_nce_lambda": {"increment": 0.008, "ema_alpha": 0.0}}, [0.9] * 4)
    assert [one.nce_lambda for one in steps] == pytest.approx([0.008, 0.016, 0.02, 0.02, 0.02])
    frozen = decisions(values | {"nce_lambda_freeze_epochs_after_open": 2}, [0.9] * 3)
    assert [one.nce_lambda for one in frozen] == pytest.approx([0.0028, 0.0028, 0.0028, 0.00644])


def test_the_gate_closes_after_patience_and_opens_again() -> None:
    values = {
        "nce_gate_start_epoch": 1,
        "nce_gate_allow_plateau": False,
        "nce_read_ema_beta": 0.0,
        "nce_lambda_freeze_epochs_after_open": 0,
        "nce_min_open_epochs": 3,
    }
    made = decisions(values, [0.9, 0.3, 0.3, 0.3, 0.45, 0.9, 0.3, 0.9, 0.3])
    assert [one.event for one in made] == [
        "none",
        "opened",
        "none",
        "none",  # low for two epochs, but open for two alone
        "closed",
        "none",  # .45 is between the levels
        "opened",
        "none",
        "none",  # high again: patience starts anew
        "none",
    ]
    assert [one.nce_lambda for one in made][4:7] == pytest.approx([0, 0, 0.01])
    assert [one.oracle_mix for one in made][4:8] == pytest.approx([0.6 - 0.5 / 3, 0.35, 1, 0.35])  # falls on
    assert "nce_min_open_epochs=3" in made[3].reason and "closes: read average" in made[4].reason


def test_a_gate_that_sticks_stays_open_once_lambda_has_risen() -> None:
    values = OPEN | {"nce_sticky_after_ramp": True, "nce_lambda_freeze_epochs_after_open": 0}
    assert [one.event for one in decisions(values, [0.9, 0.9] + [0.1] * 5)] == ["forced"] + ["none"] * 7
    assert "closed" in [one.event for one in decisions(values, [0.9] + [0.1] * 5)]
    assert "closed" in [one.event for one in decisions(values | {"nce_sticky_after_ramp": False}, [0.9, 0.9, 0.1, 0.1])]


def test_a_gate_is_forced_open_once() -> None:
    values = OPEN | {"nce_force_open_epoch": 3}
    made = decisions(values, [0.1] * 8, val_acc=[None] * 8)
    assert [one.event for one in made] == ["none", "none", "forced", "none", "closed", "none", "none", "none", "none"]
    assert "forced in epoch 3, although" in made[2].reason


@pytest.mark.parametrize(
    ("values", "accuracies", "gate", "why"),
    [
        ({}, [0.5, 0.501], "open", "plateau of 2 epochs"),
        ({}, [0.5, 0.6], "closed", "read average 0.4500 reached 0.5 for 0 epochs of 1"),
        ({"nce_gate_start_epoch": 4}, [0.1, 0.5, 0.501], "open", "plateau of 2 epochs"),
        ({"nce_gate_start_epoch": 4}, [0.5, 0.501, 0.6], "closed", "read average"),
        ({"nce_gate_allow_plateau": False}, [0.5, 0.501], "closed", "read average"),
        ({"nce_gate_require_read": True}, [0.5, 0.501], "closed", "read average"),
        ({"nce_gate_start_epoch": 4}, [0.5, 0.501], "closed", "epoch 3 is before nce_gate_start_epoch=4"),
        ({"nce_gate_read_threshold": 0.42, "nce_gate_require_read": True}, [0.1, 0.9], "open", "read average"),
        (
            {"nce_gate_read_threshold": 0.42, "nce_gate_require_read": True, "nce_gate_require_plateau": True},
            [0.1, 0.9],
            "closed",
            "no plateau of 2 epochs",
        ),
        ({"nce_gate_read_cos": 0.6}, [0.5, 0.501], "closed", "last read cosine 0.4500 is not 0.6"),
        ({"nce_gate_write_cos": 0.6}, [0.5, 0.501], "closed", "last write cosine none is not 0.6"),
        ({"nce_gate_read_cos_off": 0.48}, [0.5, 0.501], "closed", "read average 0.4500 is below 0.48"),
    ],
)
def test_what_opening_needs(values: dict[str, Any], accuracies: list[float], gate: str, why: str) -> None:
    reads: list[float | None] = [0.45] * len(accuracies)
    made = decisions({"nce_gate_start_epoch": 1} | values, reads, val_acc=list(accuracies))
    decisive = next((one for one in made if one.event == "opened"), made[-1])
    assert made[-1].gate == gate and why in decisive.reason


def test_patience_counts_epochs_in_a_row() -> None:
    values = {"nce_gate_start_epoch": 1, "nce_gate_require_read": True, "nce_gate_read_patience": 2}
    made = decisions(values | {"nce_read_ema_beta": 0.0}, [0.9, 0.1, 0.9, 0.9])
    assert [one.gate for one in made] == ["closed"] * 4 + ["open"]
    unmeasured = decisions(values | {"nce_read_ema_beta": 0.0}, [0.9, None, 0.9])
    assert [one.gate for one in unmeasured] == ["closed"] * 4


def test_the_state_is_all_there_is() -> None:
    config = NceConfig.model_validate(GUARD)
    state = State(
        epoch=6, open=True, openings=1, open_epochs=1, open_steps=1, freeze_remaining=1, read=Average(0.14, 1)
    )
    assert advance(config, state, Signals(read_cos=0.7)) == advance(config, state, Signals(read_cos=0.7))
