"""The idx format of MNIST: a magic number, the sizes, then unsigned bytes in row-major order.

Format: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", file formats.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError

Bytes = NDArray[np.uint8]

_UNSIGNED_BYTE = 0x08
_GZIP = b"\x1f\x8b"
_AGAIN = "fetch the file again, or remove it"


def read_idx(path: Path, dimensions: int) -> Bytes:
    """Read an idx file, gzipped or plain, whatever its name says.

    Args:
        path: The file.
        dimensions: How many it must have: 3 for images [N, rows, columns], 1 for labels [N].

    Returns:
        Its uint8 array, read-only.

    Raises:
        DataError: It cannot be read, is cut short, or is not an idx file of that many dimensions.
    """
    try:
        data = path.read_bytes()
        return parse_idx(gzip.decompress(data) if data.startswith(_GZIP) else data, dimensions, str(path))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}); {_AGAIN}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror or error}") from None


def parse_idx(data: bytes, dimensions: int, name: str) -> Bytes:
    """The uint8 array [size 1, …, size `dimensions`] of uncompressed idx bytes, read-only.

    Args:
        data: The file's content.
        dimensions: How many sizes it must have.
        name: The file, for messages.

    Raises:
        DataError: Another magic number, or more or fewer bytes than the sizes ask for.
    """
    header = 4 + 4 * dimensions
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if data[:4] != magic:
        raise DataError(
            f"{name}: expected the idx magic number {magic.hex()} (unsigned bytes, {dimensions} dimensions), found "
            f"{data[:4].hex() or 'an empty file'}; {_AGAIN}"
        )
    if len(data) < header:
        raise DataError(f"{name}: expected an idx header of {header} bytes, found {len(data)} bytes; {_AGAIN}")
    sizes = struct.unpack(f">{dimensions}I", data[4:header])
    if len(data) != header + math.prod(sizes):
        raise DataError(
            f"{name}: expected {header + math.prod(sizes)} bytes for sizes {list(sizes)}, found {len(data)}; {_AGAIN}"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(sizes)


def idx_bytes(array: Bytes) -> bytes:
    """The inverse of :func:`parse_idx`: equal arrays give the bytes of the published file.

    Args:
        array: uint8, 1 to 255 dimensions.
    """
    magic = bytes((0, 0, _UNSIGNED_BYTE, array.ndim))
    return magic + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
