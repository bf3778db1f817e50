"""A day: streams are read with the memory on, and what surprised becomes memories of the episodic store.

Surprise of a byte is what the associative memory learned from it, θ ‖∇ℓ‖ (see `pipeline.sleepwake.titans`), as a
z-score (see `pipeline.sleepwake.surprise`). A line with enough events becomes a memory: up to the first event behind
its first bytes that comes near the line's most surprising one it is the context, from there on the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import pad

from pipeline.config.sleepwake_night import SurprisesConfig
from pipeline.sleepwake.byte_model import BEGIN
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.surprise import Judged, SurpriseDetector
from pipeline.sleepwake.surprise_store import Memory

_BATCH = 8


@dataclass(frozen=True)
class Day:
    """What a day brought.

    Attributes:
        memories: In the order in which they occurred.
        judged: Every byte of every stream.
    """

    memories: list[Memory]
    judged: list[Judged]

    @property
    def event_rate(self) -> float:
        """Share of bytes that were events."""
        return sum(one.event for one in self.judged) / max(1, len(self.judged))


@torch.no_grad()
def live(
    model: SleepWakeModel, streams: Sequence[bytes], detector: SurpriseDetector, config: SurprisesConfig, name: str = ""
) -> Day:
    """Read streams, each from an empty memory.

    Args:
        model: Put into evaluation mode.
        streams: Of one length.
        detector: Goes on from what it knows, and learns.
        config: What makes a memory.
        name: Of the day; begins every memory's source.
    """
    model.eval()
    device = model.embedding.weight.device
    memories, judged = list[Memory](), list[Judged]()
    for first in range(0, len(streams), _BATCH):
        values = torch.tensor([list(stream) for stream in streams[first : first + _BATCH]], device=device)
        tokens = pad(values, (1, 0), value=BEGIN)
        _, recalled = model.read(tokens)
        assert recalled is not None
        keys = model.context_keys(tokens).cpu()  # that of position t is the context of byte t
        for row, norms in enumerate(recalled.surprise[:, 1:].cpu().tolist()):
            found = detector.judge_all(norms)
            judged += found
            number = first + row
            memories += memories_of(streams[number], found, keys[row], config, f"{name}/{number}")
    return Day(memories, judged)


def memories_of(
    stream: bytes, judged: Sequence[Judged], keys: torch.Tensor, config: SurprisesConfig, source: str
) -> list[Memory]:
    """Lines of a stream with enough events.

    Args:
        stream: Bytes.
        judged: Of each.
        keys: Contexts' names, (L, D) or longer.
        config: What makes a memory.
        source: Of the stream.
    """
    found, start = list[Memory](), 0
    for line in stream.split(b"\n"):
        events = [place for place in range(start, start + len(line)) if judged[place].event]
        most = max((judged[place].z for place in events), default=0.0)
        asked = (place for place in events if place - start >= config.least_context)  # what stands before asks nothing
        first = next((place for place in asked if judged[place].z >= config.cut * most), None)
        if len(events) >= config.least_events and first is not None:
            end = min(start + len(line), start + config.most_bytes)
            if end > first:
                key = tuple(keys[first].tolist())
                found.append(Memory(key, stream[start:first], stream[first:end], most, f"{source}:{start}"))
        start += len(line) + 1
    return found
