"""A folder is read whole or not at all, in the order of its names, each passage once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.reading import facts_of, is_readable, read_path


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    (folder / "old").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "b.md").write_text("# Harbour\n\nMona Hale bought a lantern.\n")
    (folder / "a.txt").write_text("It rained.\n")
    (folder / "old" / "c.TXT").write_text("It rained.\n")
    (folder / "old" / "chat.jsonl").write_text(json.dumps({"role": "user", "content": "Hello."}) + "\n")
    (folder / "empty.md").write_text("")
    (folder / "map.png").write_bytes(b"\x89PNG\x00")
    (folder / ".hidden.md").write_text("Not read.")
    (folder / ".git" / "x.txt").write_text("Not read.")
    return folder


def test_every_file_is_told_and_every_passage_taken_once(notes: Path) -> None:
    reading = read_path(notes)
    assert [(file.name, file.kind, len(file.passages), file.repeated) for file in reading.files] == [
        ("a.txt", "text", 1, 0),
        ("b.md", "Markdown", 1, 0),
        ("empty.md", "Markdown", 0, 0),
        ("map.png", "", 0, 0),
        ("old/c.TXT", "text", 0, 1),
        ("old/chat.jsonl", "chat log", 1, 0),
    ]
    assert [passage.source for passage in reading.passages] == [
        "a.txt:1",
        "b.md:3 (Harbour)",
        "old/chat.jsonl:1 (turn 1)",
    ]


def test_what_says_the_same_has_the_same_id_wherever_it_stands(notes: Path) -> None:
    before = {fact.id: fact.text for fact in facts_of(read_path(notes).passages, "day")}
    (notes / "a.txt").rename(notes / "z.txt")
    after = {fact.id: fact.text for fact in facts_of(read_path(notes).passages, "day")}
    assert before == after and len(before) == 3
    (notes / "b.md").write_text("# Harbour\n\nMona Hale sold a lantern.\n")
    changed = {fact.id for fact in facts_of(read_path(notes).passages, "day")}
    assert len(changed - set(before)) == 1 == len(set(before) - changed)


def test_a_repetition_within_one_file_is_counted(tmp_path: Path) -> None:
    words = " ".join(f"word{i}" for i in range(50))
    (tmp_path / "a.txt").write_text(f"{words}\n\n{words}\n")
    (file,) = read_path(tmp_path / "a.txt").files
    assert file.repeated == 1 and [passage.source for passage in file.passages] == ["a.txt:1"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("c.md", b"a\n\x00", r"c\.md:2: holds a NUL byte"),
        ("c.jsonl", b"{}\n", r"c\.jsonl:1: field 'role': is missing; .*Teach a file of facts by itself"),
        ("c.jsonl", b"{broken\n", r"c\.jsonl:1: not a JSON object"),
    ],
)
def test_one_bad_file_refuses_the_folder(notes: Path, name: str, content: bytes, reason: str) -> None:
    (notes / name).write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_path(notes)


def test_nothing_to_take_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected text in files named \*\.md.*found none"):
        read_path(tmp_path)


def test_facts_are_told_from_notes_and_chats(notes: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.jsonl"
    facts.write_text(json.dumps({"id": "a", "text": "It rained.", "role": "witness"}) + "\n")
    readable = [notes, notes / "a.txt", notes / "b.md", notes / "old" / "chat.jsonl"]
    assert all(map(is_readable, readable))
    assert not any(map(is_readable, [facts, notes / "map.png", tmp_path / "absent.md"]))
