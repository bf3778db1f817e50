"""Text as bytes, cut once into what is learned, what decides and what is reported.

corpus = read_corpus(Path("tinyshakespeare.txt"))
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError

Bytes = npt.NDArray[np.uint8]
_TRAIN, _VALIDATION = 0.90, 0.95


@dataclass(frozen=True)
class Corpus:
    """Three parts of one text that do not overlap, uint8 (N,).

    Attributes:
        train: The first 90 %.
        validation: The next 5 %: thresholds, settings and guards.
        test: The last 5 %: reported, decides nothing.
    """

    train: Bytes
    validation: Bytes
    test: Bytes


def split(text: bytes) -> Corpus:
    """The parts of a text, each contiguous."""
    values = np.frombuffer(text, np.uint8)
    first, second = int(len(values) * _TRAIN), int(len(values) * _VALIDATION)
    return Corpus(values[:first], values[first:second], values[second:])


def read_corpus(path: Path, least: int = 100_000) -> Corpus:
    """A file's bytes, whatever they encode.

    Args:
        path: Any file.
        least: Bytes below which it is refused.

    Raises:
        DataError: There is no such file, or it is too short.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a text file: {error.strerror}") from None
    if len(text) < least:
        raise DataError(f"{path}: expected {least} bytes of text or more, found {len(text)}")
    return split(text)
