"""The order of system calls of every kind of publish: content, fsync of the file, rename, fsync of the folder.

A kill cannot show a missing fsync, for the page cache survives it; the order of calls can. Calls of module ``os`` are
recorded with the content that a file had at that moment; where strace is present, the kernel's own record is read too.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.artifacts import FileLock, GenerationStore, load, open_run, stage, write_bytes, write_json, write_table
from pipeline.artifacts.generations import CURRENT
from pipeline.config import load_config
from tests.language.tiny import tiny_language_model

REPOSITORY = Path(__file__).resolve().parents[2]


def content_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@dataclass
class Record:
    """Calls in their order: what, on which path, the file's content at that moment."""

    calls: list[tuple[str, str, str]] = field(default_factory=list)

    def note(self, call: str, path: Path) -> None:
        self.calls.append((call, str(path), content_of(path)))

    def at(self, call: str, path: Path, content: str | None = None, after: int = -1) -> int:
        """Index of the first such call after another one.

        Raises:
            AssertionError: There is none.
        """
        for index, found in enumerate(self.calls):
            if index > after and found[:2] == (call, str(path)) and content in (None, found[2]):
                return index
        raise AssertionError(f"no {call} of {path} after call {after}: {self.calls}")

    def last(self, call: str, path: Path) -> int:
        return max(index for index, found in enumerate(self.calls) if found[:2] == (call, str(path)))


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Record:
    """Records fsync, rename and replace."""
    recorded = Record()
    real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in ("fsync", "replace", "rename")}

    def fsync(descriptor: int) -> None:
        recorded.note("fsync", Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        real["fsync"](descriptor)

    def renaming(name: str) -> Callable[..., None]:
        def rename(source: Any, target: Any) -> None:
            recorded.note("source", Path(source))
            real[name](source, target)
            recorded.note("rename", Path(target))

        return rename

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", renaming("replace"))
    monkeypatch.setattr(os, "rename", renaming("rename"))
    return recorded


def is_whole_before_it_is_visible(record: Record, path: Path) -> int:
    """Assert the order for one file that is renamed into place; returns the index of its folder's fsync."""
    renamed = record.last("rename", path)
    source = max(index for index, call in enumerate(record.calls[:renamed]) if call[0] == "source")
    temporary = Path(record.calls[source][1])
    assert temporary.parent == path.parent  # a rename across folders is not atomic everywhere
    synced = record.at("fsync", temporary, content_of(path))  # what was made durable is what is visible now
    assert synced < source < renamed
    return record.at("fsync", path.parent, after=renamed)


def is_durable(record: Record, path: Path, before: int) -> None:
    """Assert that a file's final content, and its name in its folder, were made durable before a call."""
    synced = record.at("fsync", path, content_of(path))
    assert synced < before and record.at("fsync", path.parent, after=synced) < before


def test_a_single_file(record: Record, tmp_path: Path) -> None:
    write_bytes(tmp_path / "one.bin", b"first")
    write_bytes(tmp_path / "one.bin", b"second")
    is_whole_before_it_is_visible(record, tmp_path / "one.bin")
    write_json(tmp_path / "two.json", {"a": 1})
    is_whole_before_it_is_visible(record, tmp_path / "two.json")
    write_table(tmp_path / "three.parquet", pa.table({"id": [1]}), "rows/1", "hash")
    is_whole_before_it_is_visible(record, tmp_path / "three.parquet")


def test_a_stage_publishes_its_manifest_after_everything_in_it(record: Record, artifact_root: Path) -> None:
    """Adapter folders are written by a library that syncs nothing: publishing does."""
    from pipeline.config import LoraConfig
    from pipeline.language.adapter import attach, save_adapter

    lm = tiny_language_model()
    with open_run(load_config("consolidation/episodic", []), "one") as run:
        is_whole_before_it_is_visible(record, run.path / "config.yaml")
        is_whole_before_it_is_visible(record, run.path / "manifest.json")
        with stage(run, "lora_train", inputs={}, config={}) as current:
            save_adapter(attach(lm, LoraConfig(first_layer=2), 0), current.folder / "adapter")
            current.add(current.folder / "adapter")
            current.write_table("steps", pa.table({"step": [0]}), "steps/3")
    manifest = run.path / "lora_train" / "manifest.json"
    shown = record.last("rename", manifest)
    listed = [manifest.parent / entry.path for entry in load(manifest).files]
    assert {path.name for path in listed} >= {"adapter_model.safetensors", "adapter_config.json", "steps.parquet"}
    for path in listed:
        is_durable(record, path, shown)
    is_whole_before_it_is_visible(record, manifest)
    assert record.last("rename", run.path / "manifest.json") > shown  # the run is done last


def test_a_generation_is_visible_when_all_of_it_is_durable(record: Record, artifact_root: Path) -> None:
    store = GenerationStore.of(artifact_root, "s", "episodic")
    for number in (1, 2):
        tables = {"episodes": pa.table({"id": [number]}), "facts": pa.table({"id": [number]})}
        generation = store.publish(tables, {"night": number})
        current = store.folder / CURRENT
        visible = record.last("rename", current)
        for path in (*generation.path.glob("*.parquet"), generation.path / "manifest.json"):
            is_whole_before_it_is_visible(record, path)
            assert record.last("rename", path) < visible
            assert record.at("fsync", path.parent, after=record.last("rename", path)) < visible
        assert record.at("fsync", store.folder) < visible  # the generation's folder is there
        is_whole_before_it_is_visible(record, current)


def test_the_champion_moves_in_one_durable_transaction(tmp_path: Path) -> None:
    """The alias lies in SQLite, which syncs at every commit unless it is told not to."""
    from pipeline.config import TrackingConfig
    from pipeline.tracking.store import initialise, open_client, tracking_uri

    initialise(TrackingConfig(), tmp_path)
    client = open_client(tracking_uri(TrackingConfig(), tmp_path))
    engine = client._tracking_client.store.engine
    with engine.connect() as connection:
        synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar()
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    engine.dispose()
    assert synchronous == 2 or (synchronous == 1 and journal != "wal"), (synchronous, journal)
    assert journal in ("delete", "wal", "truncate", "persist")


_TRACED = """
import pyarrow as pa
from pathlib import Path
from pipeline.artifacts import GenerationStore, write_bytes
root = Path({root!r})
write_bytes(root / "one.bin", b"x" * 100)
GenerationStore.of(root, "s", "episodic").publish({{"rows": pa.table({{"id": [1]}})}}, {{}})
"""


def _traced(root: Path, log: Path) -> list[str]:
    """Lines of strace; skips where nothing may be traced."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    watched = "trace=write,pwrite64,fsync,fdatasync,rename,renameat,renameat2"
    command = [strace, "-f", "-y", "-e", watched, "-o", str(log), sys.executable, "-c", _TRACED.format(root=str(root))]
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode and "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    return [line for line in log.read_text().splitlines() if str(root) in line]


@pytest.mark.slow
def test_the_kernel_sees_write_fsync_rename_fsync(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    lines = _traced(root, tmp_path / "calls.txt")
    for target in (
        root / "one.bin",
        root / "memory/s/episodic/gen-000001/rows.parquet",
        root / f"memory/s/episodic/{CURRENT}",
    ):
        (renamed,) = [i for i, line in enumerate(lines) if "rename" in line and f'"{target}")' in line.replace(" ", "")]
        found = re.search(r'"([^"]+\.tmp)"', lines[renamed])
        assert found is not None
        on_file = [i for i, line in enumerate(lines) if f"<{found.group(1)}>" in line]
        written = [i for i in on_file if re.search(r" p?write(64)?\(", lines[i])]
        synced = [i for i in on_file if "sync(" in lines[i]]
        folder = [i for i, line in enumerate(lines) if f"<{target.parent}>" in line and "sync(" in line]
        assert written and max(written) < max(synced) < renamed < max(folder)


def test_a_lock_holds_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the name of its holder is missing then."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    lock = FileLock(tmp_path / ".lock")
    assert lock.acquire() and lock.holder() == "unknown"
    assert not FileLock(tmp_path / ".lock").acquire()
    lock.release()
    assert FileLock(tmp_path / ".lock").acquire()
