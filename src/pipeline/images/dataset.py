"""Image data sets as arrays: prepared once as verified Parquet in the cache folder, then read from there.

    digits = load_images("mnist", "train")         # digits.images uint8 [60000, 784], digits.labels uint8 [60000]

Below the cache folder, ``images/<name>/`` holds ``train.parquet`` and ``test.parquet`` (schema ``images/1``) and a
``manifest.json`` with their digests and their source, which is written last.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from pipeline.artifacts import FileLock, publish, read_table, sweep, write_table
from pipeline.artifacts import load as load_manifest
from pipeline.catalogue.hub import Load
from pipeline.errors import ArtifactError, ConfigError, DataError
from pipeline.images.content import IMAGES, LABELS, SIDE, Content, split_digest, verify
from pipeline.images.idx import Bytes
from pipeline.images.sources import Fetch, check_images, read_sources
from pipeline.language.models import cache_folder

Split = Literal["train", "test"]

SCHEMA, MANIFEST = "images/1", "manifest.json"
PIXELS = SIDE * SIDE

_PATIENCE_S = 900.0  # for another process that prepares the same set: two downloads on a slow line
_POLL_S = 0.05


@dataclass(frozen=True, eq=False)
class ImageSet:
    """One split of an image data set.

    Attributes:
        name: ``mnist`` or ``fashion-mnist``.
        split: ``train`` or ``test``.
        images: Grey values, row by row, uint8 [N, 784], read-only.
        labels: Classes 0 to 9, uint8 [N], read-only.
        digest: SHA-256 of images and labels in idx form, 64 hex digits; the same from every source.
        source: Where they came from.
        reduced: Whether this is only a part of the published set.
    """

    name: str
    split: Split
    images: Bytes
    labels: Bytes
    digest: str
    source: str
    reduced: bool


@dataclass(frozen=True)
class Prepared:
    """A prepared data set.

    Attributes:
        folder: Where its Parquet lies.
        source: Where its content came from.
        reduced: Whether it is only a part of the published set.
        digests: Of the content, by split.
    """

    folder: Path
    source: str
    reduced: bool
    digests: Mapping[str, str]


def load_images(name: str, split: Split, root: Path | None = None) -> ImageSet:
    """One split of an image data set, which is prepared first if it is not there yet.

    Args:
        name: ``mnist`` or ``fashion-mnist``.
        split: ``train`` or ``test``.
        root: Folder that holds ``images/<name>/``; None is the cache folder.

    Raises:
        ConfigError: There is no such data set or split.
        DataError: No source has the data, or its content is not the published one.
        ArtifactError: The prepared files were damaged, or the folder cannot be written.
    """
    if split not in IMAGES:
        raise ConfigError(f"unknown split {split!r} of {name}; there are: {', '.join(IMAGES)}")
    folder = prepare_images(name, root).folder
    prepared = _opened(folder, verify=True)
    table = read_table(folder / f"{split}.parquet", SCHEMA, memory_map=True)
    return ImageSet(
        name=name,
        split=split,
        images=_bytes_of(table.column("image")).reshape(-1, PIXELS),
        labels=_bytes_of(table.column("label")),
        digest=prepared.digests[split],
        source=prepared.source,
        reduced=prepared.reduced,
    )


def prepare_images(
    name: str,
    root: Path | None = None,
    *,
    tarball: Path | None = None,
    load: Load | None = None,
    fetch: Fetch | None = None,
) -> Prepared:
    """Make both splits from the first source that has them, unless they are there; one process at a time.

    The arguments are those of :func:`load_images` and :func:`pipeline.images.sources.read_sources`.

    Raises:
        As :func:`load_images`.
    """
    check_images(name)
    folder = images_folder(name, root)
    if not (folder / MANIFEST).is_file():
        with _only_writer(folder):
            if not (folder / MANIFEST).is_file():  # else another process has made it meanwhile
                sweep(folder)
                content = read_sources(name, tarball=tarball, load=load, fetch=fetch)
                verify(name, content)
                _write(folder, name, content)
    return _opened(folder, verify=False)


def prepared_folder(name: str, root: Path | None = None) -> Path | None:
    """Where a data set's Parquet lies, if it has been prepared."""
    folder = images_folder(name, root)
    return folder if (folder / MANIFEST).is_file() else None


def images_folder(name: str, root: Path | None = None) -> Path:
    """Where a data set's Parquet lies, or would lie."""
    return (root or cache_folder()) / "images" / name


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process or thread prepares this folder, and keep them out for the length of the block."""
    lock = FileLock(folder / ".lock")
    deadline = time.monotonic() + _PATIENCE_S
    while not lock.acquire():
        if time.monotonic() > deadline:
            raise DataError(f"{folder} has been prepared by process {lock.holder()} for too long; end it and run again")
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        lock.release()


def _write(folder: Path, name: str, content: Content) -> None:
    digests = {split: split_digest(content, split) for split in IMAGES}
    for split, digest in digests.items():
        table = _table(content.arrays[IMAGES[split]], content.arrays[LABELS[split]])
        write_table(folder / f"{split}.parquet", table, SCHEMA, digest)
    metadata = {"name": name, "source": content.source, "reduced": content.reduced, "digests": digests}
    publish(folder, MANIFEST, [folder / f"{split}.parquet" for split in digests], metadata)


def _table(images: Bytes, labels: Bytes) -> pa.Table:
    """Images [N, 28, 28] and labels [N] as columns ``image`` and ``label``."""
    buffers = [None, pa.py_buffer(images.tobytes())]
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(PIXELS), len(images), buffers)
    return pa.table({"image": column, "label": pa.array(labels, pa.uint8())})


def _bytes_of(column: pa.ChunkedArray) -> Bytes:
    """A column of fixed width without nulls as flat uint8, read-only; without a copy if it is one chunk."""
    whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    width = whole.type.bit_width // 8
    data: Bytes = np.frombuffer(whole.buffers()[1], np.uint8, len(whole) * width, whole.offset * width)
    data.setflags(write=False)
    return data


def _opened(folder: Path, verify: bool) -> Prepared:
    """What the manifest of a folder says, its files compared with their digests if asked.

    Raises:
        ArtifactError: It, or one of its files, is missing or damaged.
    """
    try:
        manifest = load_manifest(folder / MANIFEST, verify)
    except ArtifactError as error:
        raise ArtifactError(f"{error}; or remove {folder}, and it is prepared again") from None
    try:
        if {file.path for file in manifest.files} != {f"{split}.parquet" for split in IMAGES}:
            raise KeyError("files")
        known = manifest.metadata
        digests = {split: str(known["digests"][split]) for split in IMAGES}
        return Prepared(folder, str(known["source"]), bool(known["reduced"]), digests)
    except (KeyError, TypeError) as error:
        raise ArtifactError(
            f"{folder / MANIFEST}: not a manifest of images ({error!r}); remove {folder}, and it is prepared again"
        ) from None
