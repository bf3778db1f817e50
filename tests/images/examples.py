"""A published data set of three training and two test images, in the form of every source."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.images import content, npm, sources
from pipeline.images.idx import idx_bytes

Bytes = NDArray[np.uint8]

_PIXELS = np.random.default_rng(7).integers(0, 256, (5, 28, 28), dtype=np.uint8)
ARRAYS: dict[str, Bytes] = {
    "train-images-idx3-ubyte": _PIXELS[:3],
    "train-labels-idx1-ubyte": np.array([5, 0, 9], np.uint8),
    "t10k-images-idx3-ubyte": _PIXELS[3:],
    "t10k-labels-idx1-ubyte": np.array([1, 7], np.uint8),
}


def digests(arrays: Mapping[str, Bytes]) -> dict[str, str]:
    """SHA-256 of every array's idx bytes."""
    return {file: hashlib.sha256(idx_bytes(array)).hexdigest() for file, array in arrays.items()}


def place_idx(folder: Path, arrays: Mapping[str, Bytes] = ARRAYS, zipped: bool = True) -> Path:
    """Write idx files as they are published."""
    folder.mkdir(parents=True)
    for file, array in arrays.items():
        data = idx_bytes(array)
        (folder / (f"{file}.gz" if zipped else file)).write_bytes(gzip.compress(data, mtime=0) if zipped else data)
    return folder


def hub(arrays: Mapping[str, Bytes] = ARRAYS) -> Callable[[str, str | None, str], Iterable[dict[str, Any]]]:
    """A loader whose rows hold arrays instead of PIL images."""

    def load(name: str, configuration: str | None, split: str) -> Iterable[dict[str, Any]]:
        assert name in ("ylecun/mnist", "zalando-datasets/fashion_mnist") and configuration is None
        prefix = {"train": "train", "test": "t10k"}[split]
        images, labels = arrays[f"{prefix}-images-idx3-ubyte"], arrays[f"{prefix}-labels-idx1-ubyte"]
        return [{"image": image, "label": int(label)} for image, label in zip(images, labels, strict=True)]

    return load


def no_hub(name: str, configuration: str | None, split: str) -> NoReturn:
    raise DataError(f"{name} is neither cached nor downloadable")


def no_network(package: str) -> NoReturn:
    raise OSError(f"no route to {package}")


def isolate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave no source but those that a test places: no folder of data, no network, an empty cache, which it returns."""
    monkeypatch.setenv("ENGRAM_CACHE", str(folder / "cache"))
    monkeypatch.delenv("ENGRAM_DATA", raising=False)
    monkeypatch.setitem(sources.DEBIAN, "fashion-mnist", folder / "debian")
    monkeypatch.setattr(sources, "load_rows", no_hub)
    monkeypatch.setattr(npm, "download", no_network)
    return folder / "cache"


def publish(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the published data sets be the images of this module."""
    for name in content.FULL:
        monkeypatch.setitem(content.FULL, name, digests(ARRAYS))


def package(digits: Sequence[Bytes]) -> bytes:
    """The npm package of these images: one [n, 28, 28] per digit, pixel / 255 in three decimals."""
    texts = {
        f"package/src/digits/{digit}.json": json.dumps({"data": np.round(images / 255, 3).ravel().tolist()})
        for digit, images in enumerate(digits)
    }
    return tar_of(texts)


def tar_of(texts: Mapping[str, str]) -> bytes:
    """A gzipped tar of text files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive:
        for name, text in texts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()
