"""Streams tell before they ask, mark answers alone, and keep parts of keys apart."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.config.sleepwake import StreamConfig
from pipeline.errors import DataError
from pipeline.sleepwake.facts import part_of
from pipeline.sleepwake.streams import Place, packed, piece_of, recall_stream, recall_streams

TEXT = np.frombuffer(b"Nothing to see here. " * 200, np.uint8)
SHAPE = StreamConfig(length=256, facts=5, asked=3)


@pytest.mark.parametrize("place", ["early", "near", "scattered"])
def test_marks_stand_at_values_and_nowhere_else(place: Place) -> None:
    for seed in range(20):
        stream = recall_stream(np.random.default_rng(seed), TEXT, "train", SHAPE, place)
        text = stream.values.tobytes().decode()
        assert len(text) == 256
        told, asked = (
            "".join(letter for letter, marked in zip(text, marks, strict=True) if marked)
            for marks in (stream.told, stream.asked)
        )
        values = told.split(";")[:-1]
        assert len(values) == 5 and all(len(value) == 4 and value.isdigit() for value in values)
        assert set(asked.split(";")[:-1]) <= set(values) and asked.count(";") == 3
        assert np.flatnonzero(stream.told).max() < np.flatnonzero(stream.asked).min()


def test_what_asks_late_told_at_the_beginning() -> None:
    stream = recall_stream(np.random.default_rng(0), TEXT, "train", SHAPE)
    assert np.flatnonzero(stream.told)[0] == 8 and stream.values[:1].tobytes() == b"@"


def test_facts_stand_together_or_apart() -> None:
    spans = {"near": set[int](), "scattered": set[int]()}
    for place in ("near", "scattered"):
        for seed in range(10):
            stream = recall_stream(np.random.default_rng(seed), TEXT, "train", SHAPE, place)
            places = np.flatnonzero(stream.told)
            spans[place].add(int(places[-1] - places[0]))
            lines = stream.values.tobytes().split(b"\n")
            assert place == "near" or sum(line[:1] == b"@" for line in lines) == 8  # each is a line of its own
    assert spans["near"] == {4 * 14 + 4} and min(spans["scattered"]) > 4 * 14 + 4


def test_a_share_of_streams_tells_early() -> None:
    drawn = recall_streams(np.random.default_rng(0), TEXT, "train", SHAPE, 200, near_share=0.7, near="scattered")
    apart = sum(int(row.nonzero()[-1] - row.nonzero()[0]) > 60 for row in drawn.told)
    early = sum(int(row.nonzero()[0]) == 8 for row in drawn.told)
    assert 120 < apart < 160 and 40 < early < 80


def test_keys_are_of_the_part_that_was_asked() -> None:
    drawn = recall_streams(np.random.default_rng(0), TEXT, "validation", SHAPE, 4)
    for row in drawn.values.tolist():
        keys = [line[1:7] for line in bytes(row).decode().split("\n") if line.startswith("@") and line[7:8] == "="]
        assert len(keys) == 8 and {part_of(key) for key in keys} == {"validation"}


def test_lines_are_packed_and_text_that_is_too_short_is_refused() -> None:
    assert packed(["1+1=2;", "2+2=4;"], 20).tobytes() == b"1+1=2;\n2+2=4;\n1+1=2;"
    with pytest.raises(DataError, match="at least one line"):
        packed([], 20)
    with pytest.raises(DataError, match="expected 0 to 4200"):
        piece_of(TEXT, 4201, np.random.default_rng(0))
