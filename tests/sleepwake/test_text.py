"""Parts of a text do not overlap and lose nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.sleepwake.text import read_corpus, split


def test_the_parts_are_the_text() -> None:
    text = bytes(range(256)) * 5
    corpus = split(text)
    assert corpus.train.tobytes() + corpus.validation.tobytes() + corpus.test.tobytes() == text
    assert (len(corpus.train), len(corpus.validation), len(corpus.test)) == (1152, 64, 64)


def test_a_file_that_is_missing_or_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt: expected a text file: No such file"):
        read_corpus(tmp_path / "none.txt")
    (tmp_path / "short.txt").write_bytes(b"abc")
    with pytest.raises(DataError, match="expected 100000 bytes of text or more, found 3"):
        read_corpus(tmp_path / "short.txt")
    assert len(read_corpus(tmp_path / "short.txt", least=3).train) == 2
