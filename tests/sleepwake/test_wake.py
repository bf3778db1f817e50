"""A day: lines with enough events become memories, cut where the surprise begins."""

from __future__ import annotations

import torch

from pipeline.config.sleepwake_night import SurprisesConfig
from pipeline.sleepwake.surprise import Judged, SurpriseDetector
from pipeline.sleepwake.wake import live, memories_of
from tests.sleepwake.tiny import sleepwake_model

KEYS = torch.arange(200.0)[:, None]


def judged(stream: bytes, strong: str, weak: str = "") -> list[Judged]:
    levels = {**dict.fromkeys(weak, 1.0), **dict.fromkeys(strong, 4.0)}
    return [Judged(levels.get(chr(byte), 0.0), chr(byte) in levels) for byte in stream]


def test_the_target_begins_at_the_first_strong_event() -> None:
    stream = b"calm line\n@ba=4821;\nother"
    (found,) = memories_of(stream, judged(stream, "4821", weak="="), KEYS, SurprisesConfig(), "0/3")
    assert (found.context, found.target) == (b"@ba=", b"4821;")
    assert found.surprise == 4.0 and found.source == "0/3:10" and found.key == (14.0,)


def test_single_events_and_lines_without_a_question_are_no_memories() -> None:
    stream = b"a1b\n12\nabc12"
    found = memories_of(stream, judged(stream, "12"), KEYS, SurprisesConfig(), "")
    assert [(memory.context, memory.target) for memory in found] == [(b"abc", b"12")]


def test_an_event_before_the_question_is_over_asks_nothing() -> None:
    stream = b"@ba=4821;"
    (found,) = memories_of(stream, judged(stream, "@4821"), KEYS, SurprisesConfig(), "")
    assert (found.context, found.target) == (b"@ba=", b"4821;")


def test_memories_have_a_longest_size() -> None:
    stream = b"ab" + b"1" * 30
    (found,) = memories_of(stream, judged(stream, "1"), KEYS, SurprisesConfig(most_bytes=10), "")
    assert found.target == b"1" * 8


def test_every_byte_is_judged_once_and_streams_stay_apart() -> None:
    model, config = sleepwake_model(), SurprisesConfig(rate=0.3)
    streams = [bytes([65 + number]) * 3 + b"\n" + bytes(range(40, 70)) for number in range(10)]
    day = live(model, streams, SurpriseDetector(config), config, "2")
    assert len(day.judged) == 10 * 34
    alone = live(model, streams[:1], SurpriseDetector(config), config, "2")
    torch.testing.assert_close(torch.tensor([one.z for one in day.judged[:34]]),
                               torch.tensor([one.z for one in alone.judged]), atol=1e-4, rtol=1e-4)  # fmt: skip
    assert 0 < day.event_rate < 1
