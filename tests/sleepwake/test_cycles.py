"""Days fill the store, nights empty it, and both go on from what was kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import SleepWakeConfig
from pipeline.sleepwake.cycles import Life
from pipeline.sleepwake.text import Corpus
from tests.sleepwake.tiny import sleepwake_model, text


def life(tmp_path: Path, schedule: dict[int, dict[str, Any]] | None = None, **sleep: Any) -> Life:
    known: dict[str, Any] = {
        "steps": 4, "probe_every": 2, "text_length": 16, "text_pool": 8, "pseudo_pool": 8, "probe_bytes": 256,
    }  # fmt: skip
    config = SleepWakeConfig(
        root=tmp_path,
        model=sleepwake_model().config,
        pretrain={"stream": {"length": 96, "facts": 2, "asked": 2}},
        surprise={"rate": 0.4, "calibration": 2},
        store={"consolidation_quantile": 0.0},
        sleep=known | sleep,
        schedule=schedule or {},
    )
    words = text()
    return Life.begin(config, sleepwake_model(), Corpus(words, words, words))


def streams(cycle: int) -> list[bytes]:
    generator = np.random.default_rng(cycle)
    return [b"@ab=" + bytes(generator.integers(48, 58, size=4).tolist()) + b";\nsome words here\n" for _ in range(4)]


def test_a_detector_is_calibrated_before_the_first_day(tmp_path: Path) -> None:
    assert life(tmp_path).detector.count == 2 * 96


def test_days_fill_the_store_and_nights_grow_it_old(tmp_path: Path) -> None:
    lived = life(tmp_path)
    day = lived.day(0, streams(0))
    assert len(day.memories) >= len(lived.store.memories) > 0
    before = {slot.slot_id: slot.importance for slot in lived.store.slots}
    slept = lived.night(0)
    assert len(slept.steps) == 4 and set(slept.stages) == set(before)
    assert all(slot.age == 1 and slot.importance < before[slot.slot_id] for slot in lived.store.slots)
    lived.rest(1)
    assert all(slot.age == 2 for slot in lived.store.slots)


def test_settings_of_the_schedule_hold_from_their_cycle_on(tmp_path: Path) -> None:
    lived = life(tmp_path, {1: {"steps": 2}, 2: {"cue_rows": 0}}, steps=3)
    taken = []
    for cycle in range(3):
        lived.day(cycle, streams(cycle))
        taken.append(len(lived.night(cycle).steps))
    assert taken == [3, 2, 2] and lived.config.sleep_of(1).cue_rows > lived.config.sleep_of(2).cue_rows == 0


def test_the_first_sleep_alone_takes_more_steps(tmp_path: Path) -> None:
    config = life(tmp_path, {2: {"steps": 2}}, steps=3, first_factor=1.6, first_cycle=1).config
    assert [config.sleep_of(cycle).steps for cycle in range(4)] == [3, 5, 2, 2]


def test_what_was_kept_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    lived, resumed = life(tmp_path), life(tmp_path)
    lived.day(0, streams(0))
    resumed.load(lived.detector_state(), lived.slots(), lived.store.next_id)
    for one in (lived, resumed):
        one.day(1, streams(1))
    assert resumed.detector_state() == lived.detector_state()
    kept, other = lived.store, resumed.store
    assert [(slot.slot_id, slot.target, slot.usage) for slot in kept.slots] == [
        (slot.slot_id, slot.target, slot.usage) for slot in other.slots
    ]
