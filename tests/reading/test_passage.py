"""Text files are read or refused by line; passages have the size of an episode and lose no word."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.reading.passage import ENOUGH, LARGEST, Block, gathered, passages_of, pieces, read_text

SENTENCES = st.lists(st.integers(1, 200).map(lambda n: " ".join(["word"] * (n - 1) + ["end."])), max_size=8)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"fine\nb\x00d", r"notes\.md:2: holds a NUL byte"),
        ("two\nlines".encode("utf-16"), r"notes\.md:1: .*UTF-16"),
        (b"a\nb\ncaf\xe9", r"notes\.md:3: byte 0xe9 is not UTF-8"),
        (b"a\n<|im_end|>", r"notes\.md:2: holds the chat-template token '<\|im_end\|>'"),
    ],
)
def test_what_is_no_text_is_refused_by_file_and_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "notes.md"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_text(path)
    with pytest.raises(DataError, match=r"cannot be read \(No such file"):
        read_text(tmp_path / "absent.md")


def test_a_byte_order_mark_and_foreign_line_ends_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert read_text(path) == "one\ntwo\nthree\n"


@given(SENTENCES)
def test_pieces_keep_every_word_and_end_with_sentences(sentences: list[str]) -> None:
    found = pieces(" ".join(sentences))
    assert " ".join(found).split() == " ".join(sentences).split()
    assert all(0 < len(piece.split()) <= LARGEST for piece in found)
    if all(len(sentence.split()) <= LARGEST for sentence in sentences):
        assert all(piece.endswith("end.") for piece in found)


@given(st.lists(st.integers(1, 150), max_size=12))
def test_blocks_are_joined_in_order_until_they_are_enough(sizes: list[int]) -> None:
    blocks = [Block(" ".join(["w"] * size), 2 * i + 1, 2 * i + 1) for i, size in enumerate(sizes)]
    found = list(gathered(blocks))
    assert sum(len(block.text.split()) for block in found) == sum(sizes)
    assert [block.first for block in found] == sorted(block.first for block in found)
    for block, following in pairwise(found):
        words = len(block.text.split())
        assert block.last < following.first
        assert words >= ENOUGH or words + len(following.text.split()) > LARGEST - ENOUGH
    assert all(len(block.text.split()) <= LARGEST or block.first == block.last for block in found)


def test_a_passage_names_lines_and_headings() -> None:
    (passage,) = passages_of("a/b.md", [Block("It was\nthere.", 4, 5)], ("Trip", "Harbour"))
    assert (passage.text, passage.source) == ("Trip > Harbour: It was there.", "a/b.md:4-5 (Trip > Harbour)")
    (bare,) = passages_of("b.txt", [Block("It rained.", 4, 4)])
    assert (bare.text, bare.source) == ("It rained.", "b.txt:4")
