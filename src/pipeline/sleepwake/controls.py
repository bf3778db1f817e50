"""What the figures are compared with: as many steps without memories, memories without rehearsal, the window alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.config.sleepwake import StreamConfig
from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.sleepwake.building import new_model
from pipeline.sleepwake.cycles import Life
from pipeline.sleepwake.days import Days
from pipeline.sleepwake.measures import asked_rows, share
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.pretraining import nats, pretrain, stream_recall
from pipeline.sleepwake.sleep import sleep
from pipeline.sleepwake.streams import recall_streams
from pipeline.sleepwake.text import Corpus

ABOUT = {
    "no_sleep": "as many steps and bytes on base text and made-up sequences, no memories",
    "replay_only": "memories alone: no soft labels, no rehearsal, no roll-back",
    "window_alone": "the same model without its memory, trained as long",
}
_WITHOUT = 1e9  # a drift that is never reached


@dataclass(frozen=True)
class Examined:
    """What a control has to do with.

    Attributes:
        config: The run's.
        life: As the first sleep found it: never changed, copied.
        corpus: Base text.
        days: What was told.
        streams: Of every day.
        steps: Optimiser steps that the run's first sleep took.
        advance: Reports a step.
    """

    config: SleepWakeConfig
    life: Callable[[SleepWakeConfig], Life]
    corpus: Corpus
    days: Days
    streams: Sequence[Sequence[bytes]]
    steps: int
    advance: Callable[[], None]

    @property
    def first(self) -> int:
        """The cycle of the first sleep."""
        return self.config.sleep.first_cycle

    def facts(self) -> list[Any]:
        """Facts of the days before the first sleep."""
        return [fact for fact in self.days.of("recall") if fact.told[0] <= self.first]


def no_sleep(examined: Examined) -> dict[str, Any]:
    """The first sleep's steps without what it teaches."""
    told = examined.config.sleep_of(examined.first).model_copy(update={"steps": examined.steps, "drift_max": _WITHOUT})
    life = examined.life(examined.config)
    before, corpus = nats(life.model, examined.corpus.test), examined.corpus
    slept = sleep(
        life.model,
        life.store.selected(),
        corpus.train,
        corpus.validation,
        told.model_copy(update={"transient_max": _WITHOUT, "control": False}),
        examined.config.seed + examined.first,
        lambda step, row: examined.advance(),
        learn=False,
        cues=life.store.cues,
    )
    rows = asked_rows(life.model, "no_sleep", examined.facts(), examined.first)
    return {
        "recall": share(rows) or 0.0,
        "drift": nats(life.model, corpus.test) / before - 1,
        "steps": len(slept.steps),
        "rights": [row["right"] for row in rows],
    }


def replay_only(examined: Examined) -> dict[str, Any]:
    """All sleeps with memories alone."""
    sleeping = examined.config.sleep_of(examined.first).model_copy(
        update={
            "steps": examined.config.sleep.steps,
            "pseudo_rows": 0,
            "cue_rows": 0,
            "ewc": 0.0,
            "text_rows": 0,
            "stream_rows": 0,
            "consolidation_strength": 0.0,
            "l2sp": 0.0,
            "drift_max": _WITHOUT,
            "transient_max": _WITHOUT,
        }
    )
    life = examined.life(examined.config.model_copy(update={"sleep": sleeping, "schedule": {}}))
    before, steps = nats(life.model, examined.corpus.test), 0
    slept = life.night(examined.first, lambda step, row: examined.advance())
    after = share(asked_rows(life.model, "replay_only", examined.facts(), examined.first)) or 0.0
    drift, retention = nats(life.model, examined.corpus.test) / before - 1, dict[str, float]()
    steps = len(slept.steps)
    for passed, cycle in enumerate(examined.config.later_cycles, 1):
        life.day(cycle, examined.streams[cycle])
        steps += len(life.night(cycle, lambda step, row: examined.advance()).steps)
        retention[str(passed)] = share(asked_rows(life.model, "replay_only", examined.facts(), cycle)) or 0.0
    last = nats(life.model, examined.corpus.test) / before - 1
    return {"recall": after, "drift": drift, "drift_last": last, "retention": retention, "steps": steps}


def window_alone(examined: Examined) -> dict[str, Any]:
    """Pre-training of the same model without its memory, and its recall in streams."""
    config = examined.config
    model = new_model(config, examined.life(config).model.embedding.weight.device.type)
    rows = pretrain(
        model, examined.corpus.train, config.pretrain, config.seed, lambda step, row: examined.advance(), memory=False
    )
    return {
        "recall_streams": recall_in_streams(model, config, examined.corpus, memory=False),
        "nats": nats(model, examined.corpus.test),
        "steps": len(rows),
    }


def recall_in_streams(
    model: SleepWakeModel, config: SleepWakeConfig, corpus: Corpus, memory: bool, shape: StreamConfig | None = None
) -> float:
    """Share of facts answered in streams of reported keys, of pre-training's shape unless another is given."""
    generator = np.random.default_rng([config.seed, *b"reported streams"])
    shape, count = shape or config.pretrain.stream, config.evaluation.recall_streams
    return stream_recall(model, recall_streams(generator, corpus.test, config.episodes.part, shape, count), memory)


def passkey_shares(model: SleepWakeModel, config: SleepWakeConfig, corpus: Corpus) -> dict[str, dict[str, float]]:
    """Share of streams whose one fact is answered, by bytes of a stream, with the memory and without it.

    Mohtashami and Jaggi 2023, arXiv:2305.16300; here key and value are drawn anew for every stream.
    """
    shapes = {str(length): StreamConfig(length=length, facts=1, asked=1) for length in config.evaluation.passkey}
    return {
        length: {
            name: recall_in_streams(model, config, corpus, memory, shape)
            for name, memory in (("with_memory", True), ("without", False))
        }
        for length, shape in shapes.items()
    }


CONTROLS: dict[str, Callable[[Examined], dict[str, Any]]] = {
    "no_sleep": no_sleep,
    "replay_only": replay_only,
    "window_alone": window_alone,
}


def controls_of(config: SleepWakeConfig) -> list[str]:
    """Names of the controls that a run takes."""
    chosen = {
        "none": (),
        "matched": ("no_sleep",),
        "default": ("no_sleep", "replay_only"),
        "full": tuple(CONTROLS),
    }
    return list(chosen[config.evaluation.controls])


def control_steps(config: SleepWakeConfig, steps: int) -> int:
    """Optimiser steps of all controls of a run, at most."""
    names, sleeps = controls_of(config), (config.sleep.first_cycle, *config.later_cycles)
    each = {
        "no_sleep": steps,
        "replay_only": sum(config.sleep_of(cycle).steps for cycle in sleeps),
        "window_alone": config.pretrain.steps,
    }
    return sum(each[name] for name in names)
