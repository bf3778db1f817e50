"""Days and nights one after another: a model, its detector of surprises and its store, wherever they are kept.

life = Life(config, model, corpus)
life.day(cycle, streams)        reads, and fills the store
life.night(cycle)               teaches the weights, and empties it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.sleep import Slept, Told, sleep
from pipeline.sleepwake.streams import recall_streams
from pipeline.sleepwake.surprise import SurpriseDetector
from pipeline.sleepwake.surprise_store import SurpriseStore, slots_of, slots_table
from pipeline.sleepwake.text import Corpus
from pipeline.sleepwake.wake import Day, live

_NAMES = ("threshold", "count", "mean", "variance")


@dataclass
class Life:
    """What goes from one cycle to the next.

    Attributes:
        config: The flow's.
        model: Changed by nights.
        corpus: Base text.
        detector: Changed by days.
        store: Changed by both.
    """

    config: SleepWakeConfig
    model: SleepWakeModel
    corpus: Corpus
    detector: SurpriseDetector
    store: SurpriseStore

    @classmethod
    def new(cls, config: SleepWakeConfig, model: SleepWakeModel, corpus: Corpus) -> Life:
        """With an empty store, and a detector that knows nothing."""
        return cls(config, model, corpus, SurpriseDetector(config.surprise), SurpriseStore(config.store))

    @classmethod
    def begin(cls, config: SleepWakeConfig, model: SleepWakeModel, corpus: Corpus) -> Life:
        """Before the first day; the detector has read streams of training facts, so that it knows what is usual."""
        life = cls.new(config, model, corpus)
        if config.surprise.calibration:
            generator = np.random.default_rng([config.seed, *b"calibration"])
            shape = config.pretrain.stream
            drawn = recall_streams(generator, corpus.train, "train", shape, config.surprise.calibration, 1.0)
            live(model, [bytes(row) for row in drawn.values.tolist()], life.detector, config.surprise)
        return life

    def day(self, cycle: int, streams: Sequence[bytes]) -> Day:
        """Read a day's streams with the memory on; its surprises go into the store."""
        found = live(self.model, streams, self.detector, self.config.surprise, str(cycle))
        self.store = self.store.observed(found.memories, cycle)
        return found

    def night(self, cycle: int, told: Told = lambda step, figures: None) -> Slept:
        """Teach the weights what the store selects; what is verified leaves it, and the rest grows old."""
        config = self.config.sleep_of(cycle)
        slept = sleep(
            self.model,
            self.store.selected(),
            self.corpus.train,
            self.corpus.validation,
            config,
            self.config.seed + cycle,
            told,
            cues=self.store.cues,
        )
        self.store = self.store.after_sleep(slept.stages, config.probes).aged(cycle).pruned()
        return slept

    def rest(self, cycle: int) -> None:
        """A night without a sleep."""
        self.store = self.store.aged(cycle).pruned()

    def detector_state(self) -> dict[str, float]:
        """The detector's four numbers."""
        return {name: getattr(self.detector, name) for name in _NAMES}

    def load(self, detector: dict[str, Any], slots: pa.Table, next_id: int) -> None:
        """Take up where an earlier stage stopped."""
        for name in _NAMES:
            setattr(self.detector, name, detector[name])
        self.store = SurpriseStore(self.config.store, slots_of(slots), next_id)

    def slots(self) -> pa.Table:
        """The store as a table."""
        return slots_table(self.store.slots)
