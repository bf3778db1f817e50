"""Which device computes, and what a report calls it."""

from __future__ import annotations

import torch

from pipeline.errors import ConfigError


def device_of(wanted: str) -> str:
    """``cpu`` or ``cuda``.

    Args:
        wanted: One of these, or ``auto``: a GPU where one is visible.

    Raises:
        ConfigError: A GPU is asked for and none is visible.
    """
    visible = torch.cuda.is_available()
    if wanted == "cuda" and not visible:
        raise ConfigError("device=cuda: no GPU is visible; set device=cpu or device=auto")
    return "cuda" if visible and wanted != "cpu" else "cpu"


def device_name(device: str) -> str:
    """What a report calls ``cpu`` or ``cuda``."""
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"
