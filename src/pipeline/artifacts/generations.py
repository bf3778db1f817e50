"""Immutable generations of a store: a writer publishes whole ones, readers see the current one or the one before.

Below the artifact root:

    memory/<session>/<kind>/gen-000007/*.parquet     the tables, never changed
                            gen-000007/manifest.json the same list, for opening an older generation
                            CURRENT.json             the one manifest readers trust
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from numpy.typing import NDArray

from pipeline.artifacts.atomic import read_table, sweep, write_table
from pipeline.artifacts.disk import remove_tree
from pipeline.artifacts.locking import FileLock
from pipeline.artifacts.manifest import Manifest, load, publish
from pipeline.artifacts.matrices import read_matrix
from pipeline.config import check_name
from pipeline.errors import ArtifactError, ConfigError, StoreError

CURRENT = "CURRENT.json"


@dataclass(frozen=True)
class Generation:
    """One published state of a store: its number, its folder, and the manifest that lists its tables."""

    number: int
    path: Path
    manifest: Manifest

    @property
    def metadata(self) -> dict[str, Any]:
        """What the writer recorded beside the tables, for example the encoder's digest."""
        values: dict[str, Any] = self.manifest.metadata["store"]
        return values

    def table(self, name: str, schema: str | None = None, columns: Collection[str] | None = None) -> pa.Table:
        """One table.

        Args:
            name: As it was published.
            schema: Expected name and version; None is ``name/1``.
            columns: Which to read, those of them that there are; None reads all.

        Raises:
            ArtifactError: There is no such table, or it is of another schema.
        """
        return read_table(self.path / f"{name}.parquet", schema or f"{name}/1", columns=columns)

    def matrix(self, name: str, column: str, schema: str | None = None) -> NDArray[Any]:
        """One list column of a table as a matrix (n, width); arguments and errors as of :meth:`table`."""
        return read_matrix(self.path / f"{name}.parquet", schema or f"{name}/1", column)


class GenerationStore:
    """The generations of one store.

    Args:
        folder: ``memory/<session>/<kind>``; need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = FileLock(folder / ".lock")

    @classmethod
    def of(cls, root: Path, session: str, kind: str) -> Self:
        """The store of a session below an artifact root.

        Raises:
            StoreError: The session's or kind's name cannot be part of a path.
        """
        try:
            return cls(root / "memory" / check_name(session, "session") / check_name(kind, "store kind"))
        except ConfigError as error:
            raise StoreError(str(error)) from None

    def current(self, verify: bool = True) -> Generation | None:
        """The newest published generation; None for a store that was never written.

        Raises:
            ArtifactError: A file is missing or differs from its digest.
        """
        path = self.folder / CURRENT
        return self._open(load(path, verify)) if path.exists() else None

    def generation(self, number: int, verify: bool = True) -> Generation:
        """An older generation.

        Raises:
            ArtifactError: It was never published, or a file differs from its digest.
        """
        folder = self._folder_of(number)
        return Generation(number, folder, load(folder / "manifest.json", verify))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer for the length of the block, so that nothing comes between reading and publishing.

        Raises:
            StoreError: Another process, or another object of this process, is writing.
        """
        if self._lock.held:
            yield
            return
        if not self._lock.acquire():
            raise StoreError(
                f"{self.folder}: another writer (process {self._lock.holder()}) holds the store; wait for it to finish"
            )
        try:
            yield
        finally:
            self._lock.release()

    def publish(
        self,
        tables: Mapping[str, pa.Table],
        metadata: Mapping[str, Any],
        *,
        config_hash: str = "",
        schemas: Mapping[str, str] | None = None,
    ) -> Generation:
        """Write the next generation and make it current, or leave everything as it was.

        Args:
            tables: By name; each becomes ``gen-…/<name>.parquet``.
            metadata: JSON values beside them.
            config_hash: Of the run that writes; stands in every file.
            schemas: Schema per table; ``name/1`` where left out.

        Raises:
            StoreError: Another writer holds the store.
            ArtifactError: The disk is full or the folder cannot be written.
        """
        with self.writing():
            number = self._next()
            folder = self._folder_of(number)
            files = [folder / f"{check_name(name, 'table')}.parquet" for name in tables]
            for path, (name, table) in zip(files, tables.items(), strict=True):
                write_table(path, table, (schemas or {}).get(name, f"{name}/1"), config_hash)
            described = {"generation": number, "store": dict(metadata)}
            publish(folder, "manifest.json", files, described)
            return self._open(publish(self.folder, CURRENT, files, described))

    def _next(self) -> int:
        """Sweep what killed writers left, and find the next free number."""
        sweep(self.folder)
        current = self.current(verify=False)
        numbers = [current.number if current else 0]
        for folder in self.folder.glob("gen-*"):
            if (folder / "manifest.json").exists():
                numbers.append(_number(folder))
            else:
                remove_tree(folder)
        return max(numbers) + 1

    def _folder_of(self, number: int) -> Path:
        return self.folder / f"gen-{number:06d}"

    def _open(self, manifest: Manifest) -> Generation:
        try:
            number = int(manifest.metadata["generation"])
        except (KeyError, TypeError, ValueError):
            raise ArtifactError(f"{self.folder / CURRENT}: names no generation; restore it") from None
        return Generation(number, self._folder_of(number), manifest)


def _number(folder: Path) -> int:
    match = re.fullmatch(r"gen-(\d{6,})", folder.name)
    return int(match.group(1)) if match else 0
