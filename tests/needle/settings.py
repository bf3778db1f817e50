"""A configuration of the flow ``needle`` that trains in a second."""

from __future__ import annotations

from typing import Any

from pipeline.config.needle import NeedleConfig

_TINY: dict[str, Any] = {
    "deployment": "tiny",
    "device": "cpu",
    "data": {
        "length": 48,
        "n_pairs": 2,
        "num_values": 8,
        "vocab_extra": 16,
        "train_size": 64,
        "val_size": 2000,
        "test_size": 60,
    },
    "model": {"emb_dim": 16, "hid_dim": 24, "mem_dim": 64},
    "memory": {"bucket_count": 8},
    "train": {"epochs": 4, "batch_size": 16, "steps_per_epoch": 2},
    "nce": {
        "nce_gate_start_epoch": 2,
        "nce_force_open_epoch": 2,
        "nce_warmup_epochs": 0,
        "nce_gate_read_cos_off": None,
        "nce_lambda_floor": 0.001,
    },
    "alarms": {"tripwire_read": None, "tripwire_write": None},
    "evaluation": {"capacity_trials": 20, "peer_steps": 2, "invariance": 4},
}


def tiny_config(**changes: Any) -> NeedleConfig:
    """The configuration with other values by dotted key, dots written as two underscores."""
    config = NeedleConfig.model_validate(_TINY)
    return config.changed({name.replace("__", "."): value for name, value in changes.items()})
