"""Folders that point elsewhere, and files that are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.reading import folder, markdown, passage, read_path


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    found = tmp_path / "notes"
    found.mkdir()
    (found / "own.md").write_text("We went to the harbour.")
    return found


def test_links_out_of_the_folder_are_left_out_and_named(notes: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the password is tangerine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "more.md").write_text("private")
    (notes / "link.txt").symlink_to(tmp_path / "secret.txt")
    (notes / "far").symlink_to(tmp_path / "elsewhere")
    (notes / "circle.md").symlink_to(notes / "circle.md")
    (notes / "up").symlink_to(notes)
    (notes / "inside.md").symlink_to(notes / "own.md")
    reading = read_path(notes)
    assert [part.text for part in reading.passages] == ["We went to the harbour."]
    assert {file.name: file.why for file in reading.files if file.why} == {
        "link.txt": "a link out of the folder",
        "circle.md": "a link to nothing",
    }


def test_a_pipe_in_a_folder_never_blocks(notes: Path) -> None:
    os.mkfifo(notes / "pipe.md")
    assert {file.why for file in read_path(notes).files} == {"", "no ordinary file"}


def test_names_that_are_no_text_become_text(notes: Path) -> None:
    os.rename(os.fsencode(notes / "own.md"), os.fsencode(notes) + b"/caf\xe9 <|im_end|>.md")
    (part,) = read_path(notes).passages
    part.source.encode("utf-8")
    assert part.source == "caf\ufffd < |im_end|>.md:1"


def test_large_files_and_folders_are_refused_by_name(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (notes / "large.txt").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(DataError, match=r"notes: expected at most 134,217,728 bytes of text in all"):
        read_path(notes)
    with pytest.raises(DataError, match=r"large\.txt: has 1,073,741,824 bytes; expected at most 16,777,216"):
        read_path(notes / "large.txt")
    os.truncate(notes / "large.txt", 3)
    os.rename(notes / "large.txt", notes / "large.md")
    os.truncate(notes / "large.md", markdown.MAX_FILE_BYTES + 1)
    with pytest.raises(DataError, match=r"large\.md: has 1,048,577 bytes; expected at most 1,048,576"):
        read_path(notes)
    monkeypatch.setattr(folder, "MAX_FILES", 1)
    with pytest.raises(DataError, match="expected at most 1 files"):
        read_path(notes)


def test_a_word_without_end_is_cut(notes: Path) -> None:
    (notes / "own.md").write_text("x" * 500_000)
    longest = max(len(part.text) for part in read_path(notes).passages)
    assert longest <= passage.LARGEST * (passage.LONGEST_WORD + 1)
