"""A folder behind a URL: a local one, or a bucket of S3 (or of what speaks its protocol) by pyarrow's filesystem.

    Remote.at("file:///mnt/backup")
    Remote.at("s3://bucket/engram?endpoint_override=minio.lan:9000&scheme=http")

Credentials come from the environment (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``) or from wherever Amazon's
client looks, never from the URL, which is shown in messages.

An object of S3 appears whole when it has been put, as a file does that was renamed into place; there is no rename, no
append, and no lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from pipeline.artifacts.atomic import replacing, write_bytes
from pipeline.config.mirror import check_url
from pipeline.errors import ArtifactError, ConfigError

_BLOCK = 1 << 20  # bytes moved at once


class Remote:
    """Files below a URL, by relative path.

    Args:
        filesystem: Of the URL.
        base: The folder, or bucket and prefix.
        url: For messages.
    """

    def __init__(self, filesystem: fs.FileSystem, base: str, url: str) -> None:
        self._filesystem, self._base, self.url = filesystem, base.rstrip("/"), url

    @classmethod
    def at(cls, url: str) -> Remote:
        """The files below a URL, which need not exist yet.

        Raises:
            ConfigError: The URL is of another kind, holds credentials, or cannot be read.
        """
        check_url(url)
        try:
            filesystem, base = fs.FileSystem.from_uri(url)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{url}: cannot be used as a URL: {error}") from None
        return cls(filesystem, base, url)

    def read(self, path: str) -> bytes | None:
        """A small file; None where there is none.

        Raises:
            ArtifactError: It cannot be read.
        """
        with self._named(path):
            if self._filesystem.get_file_info(self._full(path)).type != fs.FileType.File:
                return None
            with self._filesystem.open_input_stream(self._full(path)) as file:
                return bytes(file.read())

    def write(self, path: str, data: bytes) -> None:
        """Put a small file, whole or not at all; what was there is replaced.

        Raises:
            ArtifactError: It cannot be written.
        """
        if isinstance(self._filesystem, fs.LocalFileSystem):
            write_bytes(Path(self._full(path)), data)
            return
        with self._named(path), self._filesystem.open_output_stream(self._full(path)) as file:
            file.write(data)

    def upload(self, source: Path, path: str) -> None:
        """Put a file of any size; one that is cut short is never named by a manifest.

        Raises:
            ArtifactError: It cannot be read or written.
        """
        with self._named(path), source.open("rb") as file:
            if isinstance(self._filesystem, fs.LocalFileSystem):
                with replacing(Path(self._full(path))) as target:
                    while block := file.read(_BLOCK):
                        target.write(block)
                return
            with self._filesystem.open_output_stream(self._full(path)) as stream:
                while block := file.read(_BLOCK):
                    stream.write(block)

    def download(self, path: str, target: Path) -> None:
        """Get a file of any size, whole or not at all.

        Raises:
            ArtifactError: It cannot be read or written.
        """
        with (
            self._named(path),
            self._filesystem.open_input_stream(self._full(path)) as stream,
            replacing(target) as file,
        ):
            while block := stream.read(_BLOCK):
                file.write(block)

    def names(self, path: str, depth: int = 1) -> list[str]:
        """Relative paths, so many folders deep, of what lies below a folder; sorted, empty without it."""
        with self._named(path):
            base = f"{self._full(path)}/"
            selector = fs.FileSelector(self._full(path), recursive=True, allow_not_found=True)
            found = (info.path.removeprefix(base).split("/") for info in self._filesystem.get_file_info(selector))
            return sorted({"/".join(parts[:depth]) for parts in found if len(parts) >= depth})

    def remove(self, path: str) -> None:
        """Delete a folder with all it holds.

        Raises:
            ArtifactError: It cannot be deleted.
        """
        with self._named(path):
            self._filesystem.delete_dir(self._full(path))

    def _full(self, path: str) -> str:
        return f"{self._base}/{path}"

    @contextmanager
    def _named(self, path: str) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0][:300]
            raise ArtifactError(f"{path} at {self.url}: {reason}") from None
