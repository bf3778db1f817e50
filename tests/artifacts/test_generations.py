"""Store generations: published whole or not at all, by one writer, for any number of readers."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.artifacts import GenerationStore
from pipeline.errors import ArtifactError, StoreError

WRITER = """
import sys
from pathlib import Path
import pyarrow as pa
from pipeline.artifacts import GenerationStore

store = GenerationStore(Path(sys.argv[1]))
number = store.current().number if store.current() else 0
while True:
    number += 1
    rows = pa.table({"value": [number] * 2000})
    assert store.publish({"a": rows, "b": rows}, {"value": number}).number >= number
    print(number, flush=True)
"""


def tables(value: int) -> dict[str, pa.Table]:
    return {"a": pa.table({"value": [value] * 3}), "b": pa.table({"value": [value]})}


@pytest.fixture
def store(tmp_path: Path) -> GenerationStore:
    return GenerationStore.of(tmp_path, "day-01", "episodic")


def value(store: GenerationStore) -> int:
    """The value that every table of the current generation holds, checked to be one."""
    generation = store.current()
    assert generation is not None
    found = {item for name in ("a", "b") for item in generation.table(name)["value"].to_pylist()}
    assert found == {generation.metadata["value"]}
    return int(generation.metadata["value"])


def test_generations_follow_each_other_and_old_ones_stay(store: GenerationStore, tmp_path: Path) -> None:
    assert store.current() is None
    for number in (1, 2):
        written = store.publish(tables(number), {"value": number}, config_hash="h")
        assert (written.number, written.path.name) == (number, f"gen-00000{number}")
    assert store.folder == tmp_path / "memory" / "day-01" / "episodic"
    assert value(store) == 2
    old = store.generation(1)
    assert old.table("a")["value"].to_pylist() == [1, 1, 1] and old.metadata == {"value": 1}
    with pytest.raises(ArtifactError, match="gen-000003"):
        store.generation(3)


def test_schemas_are_checked(store: GenerationStore) -> None:
    generation = store.publish(tables(1), {"value": 1}, schemas={"a": "episodes/3"})
    assert generation.table("a", "episodes/3").num_rows == 3 and generation.table("b").num_rows == 1
    with pytest.raises(ArtifactError, match="expected schema 'a/1', found 'episodes/3'"):
        generation.table("a")


@pytest.mark.parametrize("names", [("../x", "episodic"), ("day", "a/b"), ("", "episodic")])
def test_bad_names_are_store_errors(tmp_path: Path, names: tuple[str, str]) -> None:
    with pytest.raises(StoreError, match="cannot be part of a path"):
        GenerationStore.of(tmp_path, *names)


def test_a_copied_store_still_opens(store: GenerationStore, tmp_path: Path) -> None:
    store.publish(tables(4), {"value": 4})
    shutil.copytree(store.folder, tmp_path / "copy")
    shutil.rmtree(store.folder)
    assert value(GenerationStore(tmp_path / "copy")) == 4


def test_a_flipped_byte_is_an_error_that_names_the_file(store: GenerationStore) -> None:
    path = store.publish(tables(1), {"value": 1}).path / "a.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"gen-000001/a\.parquet: digest differs"):
        store.current()


def test_a_damaged_current_manifest_is_an_error_and_publishing_over_it_too(store: GenerationStore) -> None:
    store.publish(tables(1), {"value": 1})
    (store.folder / "CURRENT.json").write_text("{}")
    for attempt in (store.current, lambda: store.publish(tables(2), {"value": 2})):
        with pytest.raises(ArtifactError, match=r"CURRENT\.json: not a manifest"):
            attempt()
    assert (store.folder / "gen-000001" / "a.parquet").exists()


def test_two_writers_one_fails_clearly(store: GenerationStore) -> None:
    other = GenerationStore(store.folder)
    with store.writing():
        with pytest.raises(StoreError, match=rf"another writer \(process {os.getpid()}\) holds the store"):
            other.publish(tables(2), {"value": 2})
        store.publish(tables(1), {"value": 1})  # the holder may publish within its own block
    assert other.publish(tables(3), {"value": 3}).number == 2


def test_a_crash_between_data_and_manifest_leaves_the_old_generation(
    store: GenerationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.publish(tables(1), {"value": 1})
    replace = os.replace

    def crash(source: Path, target: Path) -> None:
        if Path(target).name == "CURRENT.json":
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "replace", crash)
        store.publish(tables(2), {"value": 2})
    assert (store.folder / "gen-000002" / "manifest.json").exists()
    assert value(store) == 1
    assert store.publish(tables(3), {"value": 3}).number == 3  # a complete number is never used twice
    assert value(store) == 3


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_at_any_point_leaves_the_old_generation(
    store: GenerationStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store.publish(tables(1), {"value": 1})
    failures = 0
    for at in range(100):
        before = value(store)
        with monkeypatch.context() as patched:
            patched.setattr(os, call, _failing(getattr(os, call), at))
            try:
                store.publish(tables(before + 1), {"value": before + 1})
            except ArtifactError as error:
                assert "No space left" in str(error)
                failures += 1
                assert value(store) in (before, before + 1)
                continue
        assert value(store) == before + 1
        break
    assert failures == (4 if call == "replace" else 15)  # two tables, two manifests; fsync: see publish()


def _failing(function: Callable[..., None], at: int) -> Callable[..., None]:
    """The function, which fails once with ENOSPC at its ``at``-th call."""
    calls = iter(range(1000))

    def call(*arguments: object) -> None:
        if next(calls) == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        function(*arguments)

    return call


def test_orphans_of_killed_writers_are_swept_by_the_next(store: GenerationStore) -> None:
    store.publish(tables(1), {"value": 1})
    orphan = store.folder / "gen-000002"
    orphan.mkdir()
    for path in (orphan / "a.parquet", orphan / ".b.parquet.0123abcd.tmp", store.folder / ".CURRENT.json.0123abcd.tmp"):
        path.write_text("torn")
    assert value(store) == 1
    assert store.publish(tables(2), {"value": 2}).number == 2
    assert sorted(path.name for path in store.folder.rglob("*.tmp")) == []
    assert value(store) == 2


def test_twenty_killed_writers_tear_nothing_and_lose_nothing_acknowledged(store: GenerationStore) -> None:
    random_times = random.Random(1337)
    acknowledged = 0
    for _ in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(store.folder)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            acknowledged = int(writer.stdout.readline())
            time.sleep(random_times.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
        assert value(store) in (acknowledged, acknowledged + 1)
    last = value(store)
    assert store.publish(tables(last + 1), {"value": last + 1}).number > last
    assert list(store.folder.rglob("*.tmp")) == []


def test_a_reader_never_sees_anything_but_whole_generations(store: GenerationStore) -> None:
    store.publish(tables(1), {"value": 1})
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        reader = GenerationStore(store.folder)
        while not done.is_set():
            seen.append(value(reader))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(2, 30):
            store.publish(tables(number), {"value": number})
            while reader.is_alive() and len(seen) < number:  # at least one reading per generation
                time.sleep(0)
    finally:
        done.set()
        reader.join()
    assert seen == sorted(seen) and set(seen) <= set(range(1, 30)) and len(set(seen)) > 1
