"""The idx format: exact both ways, and every damaged file named."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipeline.errors import DataError
from pipeline.images.idx import Bytes, idx_bytes, parse_idx, read_idx

WHOLE = bytes.fromhex("00000803 00000002 00000001 00000003") + bytes([1, 2, 3, 4, 5, 255])


def test_the_layout_is_the_published_one() -> None:
    found = parse_idx(WHOLE, 3, "file")
    assert found.dtype == np.uint8 and found.tolist() == [[[1, 2, 3]], [[4, 5, 255]]]
    assert idx_bytes(found) == WHOLE
    assert not found.flags.writeable


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)), st.booleans(), st.booleans())
def test_what_is_written_is_read(tmp_path: Path, array: Bytes, zipped: bool, named_so: bool) -> None:
    path = tmp_path / ("file.gz" if named_so else "file")
    path.write_bytes(gzip.compress(idx_bytes(array), 1) if zipped else idx_bytes(array))
    found = read_idx(path, array.ndim)
    assert found.shape == array.shape and np.array_equal(found, array)


def test_an_array_of_any_memory_layout_has_the_same_bytes() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(4, 6)
    assert idx_bytes(np.asfortranarray(array)) == idx_bytes(array)
    assert idx_bytes(array[::2]) == idx_bytes(array[::2].copy())


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_cut_anywhere_is_named(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut"
    path.write_bytes(WHOLE[:length])
    with pytest.raises(DataError, match=r"cut: expected .* found"):
        read_idx(path, 3)


@given(st.integers(2, len(gzip.compress(WHOLE, mtime=0)) - 1))
def test_a_gzip_file_cut_anywhere_is_named(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(WHOLE, mtime=0)[:length])
    with pytest.raises(DataError, match=r"cut\.gz: not a whole gzip file"):
        read_idx(path, 3)


@given(st.integers(10, len(gzip.compress(WHOLE, mtime=0)) - 1), st.integers(1, 255))
def test_a_changed_byte_of_a_gzip_file_is_named(tmp_path: Path, place: int, change: int) -> None:
    data = bytearray(gzip.compress(WHOLE, mtime=0))  # its header, which may well change, has ten bytes
    data[place] ^= change
    (tmp_path / "flipped.gz").write_bytes(data)
    with pytest.raises(DataError, match=r"flipped\.gz: not a whole gzip file"):
        read_idx(tmp_path / "flipped.gz", 3)


@pytest.mark.parametrize(
    ("data", "dimensions", "found"),
    [
        (WHOLE, 1, "expected the idx magic number 00000801.*, found 00000803"),
        (WHOLE[:2] + b"\x0d" + WHOLE[3:], 3, "magic number 00000803.*, found 00000d03"),
        (b"<html>", 3, "found 3c68746d"),
        (b"", 3, "found an empty file"),
        (WHOLE + b"\x00", 3, r"expected 22 bytes for sizes \[2, 1, 3\], found 23"),
        (bytes.fromhex("00000803") + b"\xff" * 12, 3, r"sizes \[4294967295, 4294967295, 4294967295\], found 16"),
    ],
)
def test_another_format_is_named_with_what_was_found(data: bytes, dimensions: int, found: str) -> None:
    with pytest.raises(DataError, match=f"^some file: .*{found}"):
        parse_idx(data, dimensions, "some file")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none: cannot read: No such file"):
        read_idx(tmp_path / "none", 1)
