"""Atomic writes: order of system calls, faults at every one of them, torn and foreign files."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.artifacts import atomic, read_json, read_table, replacing, sweep, write_bytes, write_json, write_table
from pipeline.errors import ArtifactError

TABLE = pa.table({"id": [1, 2, 3], "text": ["a", "b", "c"]})
CALLS = ["open", "write", "fsync", "replace", "fsync of the folder"]


class Faults:
    """Records the system calls of a write, and fails the one that it is told to, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fail: str = "", error: BaseException | None = None) -> None:
        self.calls: list[tuple[str, str]] = []
        self.fail, self.error = fail, error
        fsync, replace = os.fsync, os.replace

        def opened(path: Path, mode: str) -> BinaryIO:
            self.hit("open", path)
            return _Recorded(path.open(mode), self)  # type: ignore[return-value]

        def fsynced(descriptor: int) -> None:
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            self.hit("fsync of the folder" if path.is_dir() else "fsync", path)
            fsync(descriptor)

        def replaced(source: Path, target: Path) -> None:
            self.hit("replace", target)
            replace(source, target)

        monkeypatch.setattr(atomic, "open", opened, raising=False)
        monkeypatch.setattr(os, "fsync", fsynced)
        monkeypatch.setattr(os, "replace", replaced)

    def hit(self, call: str, path: Any) -> None:
        self.calls.append((call, Path(path).name))
        if call == self.fail:
            self.fail = ""
            raise self.error or OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Recorded:
    """A file whose writes are counted, and which PyArrow takes for a file."""

    def __init__(self, file: BinaryIO, faults: Faults) -> None:
        self._file, self._faults = file, faults

    def write(self, data: bytes) -> int:
        self._faults.hit("write", self._file.name)
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Recorded:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def test_order_is_write_fsync_rename_fsync_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults(monkeypatch)
    write_bytes(tmp_path / "a.bin", b"x")
    assert [call for call, _ in faults.calls] == CALLS
    (_, opened), (_, written), (_, synced), (_, target), (_, folder) = faults.calls
    assert opened == written == synced != target == "a.bin"
    assert folder == tmp_path.name


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", CALLS)
def test_a_failing_call_leaves_the_old_file_and_no_orphan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    path = tmp_path / "table.parquet"
    write_table(path, TABLE, "rows/1", "hash")
    with monkeypatch.context() as patched:
        Faults(patched, call, OSError(code, os.strerror(code)))
        with pytest.raises(ArtifactError, match=r"table\.parquet: cannot write: (No space left|Input/output error)"):
            write_table(path, TABLE.slice(1), "rows/1", "hash")
    rows = 2 if call == "fsync of the folder" else 3  # after the rename the new file is in place, whole
    assert read_table(path, "rows/1").num_rows == rows
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["table.parquet"]


@pytest.mark.parametrize("call", CALLS)
def test_an_interrupt_passes_through_and_leaves_no_orphan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    Faults(monkeypatch, call, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "a.bin", b"x")
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.endswith(".tmp")] == []


def test_an_error_in_the_block_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"


def test_a_folder_that_cannot_be_made_is_an_artifact_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match=r"a\.bin: cannot write"):
        write_bytes(tmp_path / "file" / "a.bin", b"x")


def test_sweep_removes_orphans_alone(tmp_path: Path) -> None:
    keep = [tmp_path / name for name in (".a.tmp", "a.0123abcd.tmp", ".hidden", "b.parquet", "deep/.x.0123abcd.tmpx")]
    orphans = [tmp_path / ".b.parquet.0123abcd.tmp", tmp_path / "deep" / ".c.json.deadbeef.tmp"]
    for path in keep + orphans:
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    assert sweep(tmp_path) == sorted(orphans)
    assert all(path.exists() for path in keep) and not any(path.exists() for path in orphans)
    assert sweep(tmp_path / "none") == []


def test_a_table_carries_schema_and_config_hash_and_keeps_its_own_metadata(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, TABLE.replace_schema_metadata({"unit": "nats"}), "answers/2", "0123")
    assert pq.read_metadata(path).metadata[b"engram.schema"] == b"answers/2"
    assert pq.read_metadata(path).metadata[b"engram.config_hash"] == b"0123"
    table = read_table(path, "answers/2")
    assert table.equals(TABLE) and table.schema.metadata[b"unit"] == b"nats"


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_table(tmp_path / name, TABLE, "rows/1", "hash")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("schema", ["answers", "answers/0", "Answers/1", "answers/1/2", "answers/x", ""])
def test_a_malformed_schema_name_is_refused(tmp_path: Path, schema: str) -> None:
    with pytest.raises(ArtifactError, match="is not 'name/version'"):
        write_table(tmp_path / "t.parquet", TABLE, schema, "hash")
    assert list(tmp_path.glob("*.parquet")) == []


@pytest.mark.parametrize("memory_map", [False, True])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "not a whole Parquet file"),
        (b"PAR1 torn", "not a whole Parquet file"),
    ],
)
def test_missing_and_torn_tables_are_named(
    tmp_path: Path, content: bytes | None, reason: str, memory_map: bool
) -> None:
    path = tmp_path / "t.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"t\.parquet: .*{reason}"):
        read_table(path, "rows/1", memory_map=memory_map)


@pytest.mark.parametrize("memory_map", [False, True])
def test_a_table_is_mapped_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_map: bool) -> None:
    path, opened, open_file = tmp_path / "t.parquet", [], pq.ParquetFile

    def recorded(file: Path, **options: Any) -> pq.ParquetFile:
        opened.append(options)
        return open_file(file, **options)

    write_table(path, TABLE, "rows/1", "hash")
    monkeypatch.setattr(pq, "ParquetFile", recorded)
    assert read_table(path, "rows/1", memory_map=memory_map).equals(TABLE)
    assert opened == [{"memory_map": memory_map}]


@pytest.mark.parametrize("written", ["rows/2", "other/1", None])
def test_another_schema_is_an_error(tmp_path: Path, written: str | None) -> None:
    path = tmp_path / "t.parquet"
    if written:
        write_table(path, TABLE, written, "hash")
    else:
        pq.write_table(TABLE, path)
    with pytest.raises(ArtifactError, match=f"expected schema 'rows/1', found '{written or 'none'}'"):
        read_table(path, "rows/1")


@given(st.binary(min_size=1, max_size=40), st.integers(0, 200))
def test_a_truncated_table_is_an_artifact_error(tmp_path: Path, noise: bytes, at: int) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, TABLE, "rows/1", "hash")
    data = path.read_bytes()
    path.write_bytes(data[:at] + noise)
    with pytest.raises(ArtifactError, match=r"t\.parquet"):
        read_table(path, "rows/1")


def test_json_round_trip_and_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"em": np.float32(0.5), "name": "ä"})
    assert read_json(path) == {"em": 0.5, "name": "ä"} == json.loads(path.read_text())
    with pytest.raises(ArtifactError, match=r"a\.json\.em is nan"):
        write_json(path, {"em": float("nan")})
    assert read_json(path)["em"] == 0.5
    path.write_text("{")
    with pytest.raises(ArtifactError, match=r"a\.json: not valid JSON"):
        read_json(path)
    with pytest.raises(ArtifactError, match=r"b\.json: cannot read: No such file"):
        read_json(tmp_path / "b.json")
