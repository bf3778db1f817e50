"""JSON lines of any size and kind: read line by line within the stated limits, or refused by their place."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.fuzzing.composed import raw
from pipeline.fuzzing.examine import examine
from pipeline.fuzzing.targets import WayIn
from pipeline.suites import rows
from pipeline.suites.facts import read_facts
from pipeline.suites.rows import MAX_FILE_BYTES, MAX_ITEMS, MAX_TEXT, each_row, read_rows
from pipeline.suites.study_forms import with_study_forms


def refused(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_facts(path)
    return str(error.value)


def test_a_gibibyte_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(1 << 30)  # no disk is used
    tracemalloc.start()
    told = refused(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert f"expected at most {MAX_FILE_BYTES:,}" in told and str(path) in told and peak < 4 << 20


def test_a_stream_without_end_is_refused_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refused(Path("/dev/zero"))
    assert told.startswith("/dev/zero:1: expected at most 1048576 bytes a line")


def test_a_pipe_is_read_and_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(rows, "MAX_FILE_BYTES", 1000)

    def write() -> None:
        try:
            with pipe.open("w") as file:
                for number in range(100):
                    file.write(json.dumps({"id": f"f{number}", "text": "word " * 4}) + "\n")
                    file.flush()
        except BrokenPipeError:
            pass

    thread = threading.Thread(target=write)
    thread.start()
    with pytest.raises(DataError, match="expected at most 1,000 bytes in all"):
        list(each_row(pipe))
    thread.join()


def test_rows_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text('{"id": "a"}\n' * 11)
    monkeypatch.setattr(rows, "MAX_ROWS", 10)
    with pytest.raises(DataError, match=r"f\.jsonl:11: expected at most 10 rows"):
        read_rows(path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [  # what else a row may hold stands in tests/suites/test_facts.py
        ({"id": "a", "text": "x" * (MAX_TEXT + 1)}, "field 'text': has 65537 characters"),
        ({"id": "a\x1b[2J", "text": "x"}, "field 'id': expected at most 200 printable characters"),
        ({"id": "i" * 201, "text": "x"}, "field 'id': expected at most 200 printable characters"),
        ({"id": "a", "text": "x", "questions": [{}] * (MAX_ITEMS + 1)}, "field 'questions': has 1001 entries"),
        ({"id": "a", "text": "x"} | {f"x{i}": 1 for i in range(MAX_ITEMS)}, "stands in an object of 1002 fields"),
        ({"id": "a", "text": "half \ud800 a pair"}, "half of a surrogate pair"),
        ({"id": "a", "text": "nul \x00"}, "holds a NUL character"),
        ({"id": "a", "text": "x", "session": "../../etc"}, "field 'session': session '../../etc' cannot"),
        ({"id": "a", "text": "x", "session": "a'; DROP TABLE b; --"}, "cannot be part of a path"),
        ({"id": "a", "text": "x", "questions": [{"question": "q", "answer": "a", "split": "z" * 9999}]}, "one of"),
    ],
    ids=range(10),
)  # fmt: skip
def test_a_hostile_row_is_one_short_error_with_its_place(tmp_path: Path, row: dict[str, object], reason: str) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text('{"id": "fine", "text": "fine"}\n' + json.dumps(row) + "\n")
    told = refused(path)
    assert told.startswith(f"{path}:2: ") and reason in told and len(told) < 600


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({f"k{i}": 0 for i in range(60_000)}),
        '{"id": "a", "text": "x", ' + ", ".join(f'"x{i}": 1' for i in range(60_000)) + "}",
        json.dumps(
            {"id": "a", "text": "Ab Cd " * 10_000, "questions": [{"question": "Ab Cd " * 9_000, "answer": "z"}]}
        ),
        json.dumps({"id": "a", "text": "Ab Cd " * 10_000}),
    ],
    ids=["keys", "fields", "capitals in a question", "capitals in a text"],
)
def test_no_line_takes_the_square_of_its_length(tmp_path: Path, line: str) -> None:
    def take(path: Path) -> None:
        with_study_forms(read_facts(path))

    way = WayIn("facts", "f.jsonl", raw, take)
    assert examine(way, line.encode(), tmp_path / "in", seconds=20) is None  # it took minutes before there were limits


def test_sql_in_an_id_is_an_id(tmp_path: Path) -> None:
    from pipeline.artifacts import write_table
    from pipeline.artifacts.query import query
    from pipeline.suites.table import facts_table

    path = tmp_path / "f.jsonl"
    name = "x'; DROP TABLE facts; --"
    path.write_text(json.dumps({"id": name, "text": "x"}))
    write_table(tmp_path / "facts.parquet", facts_table(read_facts(path)), "facts/1", "0")
    found = query("select id from facts", facts=tmp_path / "facts.parquet")
    assert found.column("id").to_pylist() == [name]
