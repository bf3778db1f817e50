"""All that the batches of a sleep are drawn from, labelled before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from pipeline.config.sleepwake_night import SleepConfig
from pipeline.sleepwake.byte_training import windows
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.rehearsal import (
    Labelled,
    MemoryRows,
    continued,
    drawing_weights,
    labelled,
    made_up,
    memory_rows,
    with_truth,
)
from pipeline.sleepwake.streams import recall_streams
from pipeline.sleepwake.surprise_store import Slot
from pipeline.sleepwake.text import Bytes


@dataclass(frozen=True)
class Material:
    """All that batches are drawn from.

    Attributes:
        memories: With targets of their own; None of a sleep that is to teach nothing.
        shares: Probability of each memory to be drawn, (N,).
        invented: What the old weights made up.
        cued: Cues as the old weights continue them.
        text: Base text.
        text_rows: Rows of it a step.
        streams: Streams of training facts, read with the memory.
    """

    memories: MemoryRows | None
    shares: npt.NDArray[np.float64]
    invented: Labelled | None
    cued: Labelled | None
    text: Labelled | None
    text_rows: int
    streams: Labelled | None

    def cpu(self) -> Material:
        """The same in main memory."""
        pools = self.invented, self.cued, self.text, self.streams
        invented, cued, text, streams = (pool and pool.cpu() for pool in pools)
        memories = self.memories and self.memories.cpu()
        return replace(self, memories=memories, invented=invented, cued=cued, text=text, streams=streams)


def material_of(
    teacher: SleepWakeModel,
    slots: Sequence[Slot],
    text: Bytes,
    config: SleepConfig,
    generator: np.random.Generator,
    learn: bool,
    cues: Sequence[bytes],
) -> Material:
    """Label everything by the teacher.

    Args:
        teacher: Frozen, as the model was before the sleep.
        slots: The memories.
        text: Base text.
        config: How much of what.
        generator: Of everything that is drawn.
        learn: False leaves memories out, for as many bytes of text.
        cues: Contexts of earlier memories.
    """
    drawn = torch.Generator().manual_seed(int(generator.integers(2**31)))
    rows = config.text_rows + (0 if learn else text_instead(slots, config))
    pool = windows(text, max(config.text_pool, rows), config.text_length, generator) if rows else None
    return Material(
        memory_rows(teacher, slots, config) if learn else None,
        drawing_weights(slots, config.importance_power),
        made_up(teacher, slots, config, drawn) if config.pseudo_rows else None,
        continued(teacher, cues, config) if cues and config.cue_rows else None,
        None if pool is None else with_truth(labelled(teacher, pool), config.text_truth),
        rows,
        _streams(teacher, text, config, generator) if config.stream_rows else None,
    )


def _streams(teacher: SleepWakeModel, text: Bytes, config: SleepConfig, generator: np.random.Generator) -> Labelled:
    """Streams of training facts that the teacher has read with its memory; half of them ask soon after they told."""
    drawn = recall_streams(generator, text, "train", config.stream, config.stream_pool, near_share=0.5)
    return labelled(teacher, drawn.values, memory=True)


def text_instead(slots: Sequence[Slot], config: SleepConfig) -> int:
    """Rows of text with as many bytes as the memories of a step."""
    longest = max(len(slot.context) + len(slot.target) for slot in slots)
    return -(-min(config.memory_rows, len(slots)) * longest // config.text_length)
