"""An exclusive lock that dies with its process: ``flock`` on a file that names its holder."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from pipeline.errors import ArtifactError

_POLL = 0.005  # seconds between two tries


class FileLock:
    """Hold a file's lock until :meth:`release`, the end of the ``with`` block, or the end of the process.

    The kernel frees the lock of a killed process, so a stale file never blocks anybody.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Take the lock without waiting; False if another holder has it.

        Raises:
            ArtifactError: The lock file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ArtifactError(f"{self.path}: cannot write: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        with suppress(OSError):  # the name is for messages; a full disk leaves none, and the lock holds all the same
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return True

    def wait(self, seconds: float) -> bool:
        """Take the lock as soon as it is free; False if another holder keeps it that long.

        Raises:
            ArtifactError: The lock file cannot be written.
        """
        until = time.monotonic() + seconds
        while not self.acquire():
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL)
        return True

    def holder(self) -> str:
        """The process id that the file names, for messages; ``unknown`` if it names none."""
        try:
            return self.path.read_text().strip() or "unknown"
        except OSError:
            return "unknown"

    def release(self) -> None:
        """Free the lock; harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
