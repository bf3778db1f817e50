"""What every source gives, four idx arrays, and the digests that these must have."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import DataError
from pipeline.images.idx import Bytes, idx_bytes

IMAGES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}
LABELS = {"train": "train-labels-idx1-ubyte", "test": "t10k-labels-idx1-ubyte"}
DIMENSIONS = {name: 3 for name in IMAGES.values()} | {name: 1 for name in LABELS.values()}
"""Dimensions of each idx file, by its name without ``.gz``."""

SIDE = 28  # pixels of an image's rows and columns

FULL: dict[str, dict[str, str]] = {
    "mnist": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
}
"""SHA-256 of the uncompressed idx files, as their authors published them."""

REDUCED: dict[str, dict[str, str]] = {
    "mnist": {
        "train-images-idx3-ubyte": "4987fe772ce9a708b20aa7d3aff93b61e4aed376a77a139646e679a0961597cf",
        "train-labels-idx1-ubyte": "2df73b721c9366e2e777870a2b99df564e255e45571da000353dddffc7f22297",
        "t10k-images-idx3-ubyte": "e6ab1f12d35ee633e955402c87dd01ebed15f99c672054215e5e7e6200a47394",
        "t10k-labels-idx1-ubyte": "1dc09ebaaeee3019a0fc294d290041c5510b71c5938151e3583cee3a71ad0285",
    },
}
"""SHA-256 of the idx bytes that :mod:`pipeline.images.npm` makes of its 10,000 images."""


@dataclass(frozen=True, eq=False)
class Content:
    """A whole data set as a source gave it.

    Attributes:
        source: Where it comes from, for people.
        arrays: The four idx arrays by file name: images uint8 [N, 28, 28], labels uint8 [N].
        places: For each of them the file or table it was read from, for messages.
        reduced: Whether it is only a part of the published set.
    """

    source: str
    arrays: Mapping[str, Bytes]
    places: Mapping[str, str]
    reduced: bool = False


def verify(name: str, content: Content) -> None:
    """Compare every array with its published digest.

    Raises:
        DataError: One differs.
    """
    for file, expected in (REDUCED if content.reduced else FULL)[name].items():
        found = hashlib.sha256(idx_bytes(content.arrays[file])).hexdigest()
        if found != expected:
            raise DataError(
                f"{content.places[file]}: expected SHA-256 {expected} of the uncompressed {file}, found {found}; this "
                f"is not the published {name}, fetch it again or remove it so that the next source is tried"
            )


def split_digest(content: Content, split: str) -> str:
    """SHA-256 over the idx bytes of a split's images and then its labels, the same from every source."""
    both = idx_bytes(content.arrays[IMAGES[split]]) + idx_bytes(content.arrays[LABELS[split]])
    return hashlib.sha256(both).hexdigest()
