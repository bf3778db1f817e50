"""Streams of bytes: lines that tell facts early, text between, and the same facts asked late.

    @bakitu=4821; … text … @bakitu=4821;

What a model predicts behind the second ``=`` it can only know from the first line. The distance is more than a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.config.sleepwake import StreamConfig
from pipeline.errors import DataError
from pipeline.sleepwake.facts import Part, draw_keys, random_value
from pipeline.sleepwake.text import Bytes

LINE_END = b"\n"
Place = Literal["early", "near", "scattered"]
"""Where a stream tells its facts."""


@dataclass(frozen=True)
class Stream:
    """One sequence.

    Attributes:
        values: uint8 (L,).
        told: Bytes of values where they are told, which nothing foretells, bool (L,).
        asked: Bytes of answers where they are asked, bool (L,).
    """

    values: Bytes
    told: npt.NDArray[np.bool_]
    asked: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Streams:
    """A batch of sequences of one length: see `Stream`; each (B, L)."""

    values: Tensor
    told: Tensor
    asked: Tensor


def recall_stream(
    generator: np.random.Generator, text: Bytes, part: Part, config: StreamConfig, told: Place = "early"
) -> Stream:
    """A stream of new facts.

    Args:
        generator: Draws keys, values, text and which facts are asked.
        text: Where lines between come from.
        part: Of the keys.
        config: Lengths and numbers.
        told: Where facts stand: all at the beginning, all at one place before the questions, or each at a place of its
            own, as a line.
    """
    keys = draw_keys(generator, config.facts, part)
    statements = [f"@{key}={random_value(generator)};".encode() + LINE_END for key in keys]
    questions = [statements[number] for number in generator.permutation(len(keys))[: config.asked]]
    if told == "scattered":
        statements = [LINE_END + statement for statement in statements]
    asked = LINE_END + b"".join(questions)
    filler = piece_of(text, config.length - sum(map(len, statements)) - len(asked), generator)
    cuts = [0] * len(statements)
    if told == "near":
        cuts = [int(generator.integers(len(filler) + 1))] * len(statements)
    elif told == "scattered":
        cuts = sorted(generator.integers(len(filler) + 1, size=len(statements)).tolist())
    values, marks = filler[: cuts[0]], [np.zeros(cuts[0], bool)]
    for statement, cut, end in zip(statements, cuts, [*cuts[1:], len(filler)], strict=True):
        values += statement + filler[cut:end]
        marks += [_answer(statement), np.zeros(end - cut, bool)]
    before, late = np.zeros(len(values) + 1, bool), np.zeros(len(asked), bool)
    return Stream(
        np.frombuffer(values + asked, np.uint8),
        np.concatenate([*marks, late]),
        np.concatenate([before, *map(_answer, questions)]),
    )


def _answer(line: bytes) -> npt.NDArray[np.bool_]:
    """Which bytes of a fact's line stand behind ``=``, ``;`` included, (L,)."""
    marked = np.zeros(len(line), bool)
    marked[line.index(b"=") + 1 : line.index(b";") + 1] = True
    return marked


def piece_of(text: Bytes, length: int, generator: np.random.Generator) -> bytes:
    """``length`` bytes from a random place of a text.

    Raises:
        DataError: The text is shorter, or ``length`` is below 0.
    """
    if not 0 <= length <= len(text):
        raise DataError(f"expected 0 to {len(text)} bytes of text between facts, found {length}: change stream lengths")
    start = int(generator.integers(len(text) - length + 1))
    return text[start : start + length].tobytes()


def recall_streams(
    generator: np.random.Generator,
    text: Bytes,
    part: Part,
    config: StreamConfig,
    count: int,
    near_share: float = 0.0,
    near: Place = "near",
) -> Streams:
    """Several streams; facts stand as ``near`` says with probability ``near_share``, else early."""
    found = [
        recall_stream(generator, text, part, config, near if generator.random() < near_share else "early")
        for _ in range(count)
    ]
    return Streams(
        torch.from_numpy(np.stack([stream.values for stream in found]).astype(np.int64)),
        torch.from_numpy(np.stack([stream.told for stream in found])),
        torch.from_numpy(np.stack([stream.asked for stream in found])),
    )


def packed(lines: Sequence[str], length: int) -> Bytes:
    """Lines one after another, cut to ``length`` bytes; they are begun again where they are too few."""
    joined = "".join(f"{line}\n" for line in lines).encode()
    if not joined:
        raise DataError("expected at least one line to fill a row, found none")
    return np.frombuffer((joined * (-(-length // len(joined))))[:length], np.uint8)
