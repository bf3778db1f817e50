"""What a full, read-only or broken disk does to a write: one clear error that names the path."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import ArtifactError

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


def cannot_write(path: Path, error: OSError) -> ArtifactError:
    """The error for a path that the system refuses to write."""
    return ArtifactError(
        f"{path}: cannot write: {error.strerror or error}; free some space or mend the folder, then run again"
    )


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full or broken disk, met by whatever library writes below a folder, into an ``ArtifactError``.

    Every other error passes through unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _DISK:
            raise cannot_write(folder, error) from error
        raise
    except Exception as error:  # safetensors reports errors of the system in its own type
        if f"os error {errno.ENOSPC}" in str(error):
            raise cannot_write(folder, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) from error
        raise


def fsync_folder(folder: Path) -> None:
    """Make renames within a folder durable; raises ``OSError``."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all it holds.

    Raises:
        ArtifactError: The system refuses.
    """
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
