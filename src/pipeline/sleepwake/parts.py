"""Components that a run also trains and measures, each in a module of its own: pictures, patches, adapters.

    @register_part("codebook")
    def codebook(examined: PartInput) -> dict[str, Any]: ...

Stage ``evaluate`` calls every one after the model's own figures, and keeps what it returns: ``codebook`` with ``usage``
becomes ``codebook.usage`` of the report, everything else ``parts.<name>``. A part that is finished is not run again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.text import Corpus


@dataclass(frozen=True)
class PartInput:
    """What a part may look at.

    Attributes:
        config: The run's.
        base: The model before any sleep, which it must not change.
        slept: The model behind the first sleep, likewise.
        corpus: Base text in its parts.
        device: ``cpu`` or ``cuda``.
        advance: Reports a step of work.
    """

    config: SleepWakeConfig
    base: SleepWakeModel
    slept: SleepWakeModel
    corpus: Corpus
    device: str
    advance: Callable[[], None]


Part = Callable[[PartInput], dict[str, Any]]
PARTS: dict[str, Part] = {}
"""Every part by its name, in the order in which they were registered."""


def register_part(name: str) -> Callable[[Part], Part]:
    """Decorator: stage ``evaluate`` calls the function, which returns figures that JSON can hold."""

    def register(part: Part) -> Part:
        if name in PARTS:
            raise ValueError(f"part {name!r} is already registered")
        PARTS[name] = part
        return part

    return register
