"""A manifest lists files by relative path with rows, size and SHA-256; it is the last thing written.

What a manifest names exists and is whole; what it does not name is not there yet.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.artifacts.digests import TEMPORARY, digest_file, digest_json
from pipeline.artifacts.disk import cannot_write, fsync_folder
from pipeline.artifacts.jsonable import json_safe
from pipeline.artifacts.sealed import read_sealed, write_sealed
from pipeline.errors import ArtifactError

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ManifestFile:
    """One file: path relative to the manifest's folder, rows if it is Parquet, size in bytes, SHA-256."""

    path: str
    rows: int | None
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The files of one folder at one moment."""

    files: tuple[ManifestFile, ...]
    metadata: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def digest(self) -> str:
        """SHA-256 over paths and contents: equal files give equal digests, whatever times the metadata holds."""
        return digest_json([[file.path, file.sha256] for file in self.files])


def publish(folder: Path, name: str, files: Iterable[Path], metadata: Mapping[str, Any]) -> Manifest:
    """Make files durable, then publish them in one manifest, atomically.

    Args:
        folder: Where the manifest lies.
        name: The manifest's file name.
        files: Files below ``folder``.
        metadata: JSON values that belong to them.

    Raises:
        ArtifactError: A file is missing, lies outside the folder, or the disk is full.
    """
    listed = sorted({_below(folder, path) for path in files})
    entries = tuple(_describe(folder, path) for path in listed)
    for parent in {folder} | {parent for path in listed for parent in _folders(folder, path)}:
        try:
            fsync_folder(parent)
        except OSError as error:
            raise cannot_write(parent, error) from error
    manifest = Manifest(files=entries, metadata=json_safe(metadata, name))
    write_sealed(folder / name, {"schema_version": SCHEMA_VERSION, **_body(manifest)})
    return manifest


def load(path: Path, verify: bool = True) -> Manifest:
    """Read a manifest.

    Args:
        path: The manifest file.
        verify: Whether to compare every file with its size and digest.

    Raises:
        ArtifactError: The manifest is missing, torn or of another version; or a file is missing or differs, which
            the message names.
    """
    content = read_sealed(path)
    try:
        version, metadata = content["schema_version"], dict(content["metadata"])
        files = tuple(ManifestFile(**entry) for entry in content["files"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: not a manifest ({error!r}); restore or remove it") from None
    if version != SCHEMA_VERSION:
        raise ArtifactError(f"{path}: expected manifest version {SCHEMA_VERSION}, found {version!r}")
    for entry in files:
        if PurePosixPath(entry.path).is_absolute() or ".." in PurePosixPath(entry.path).parts:
            raise ArtifactError(f"{path}: names {entry.path!r}, which lies outside its folder")
        if verify:
            _verify(path.parent, entry)
    return Manifest(files, metadata, version)


def check_listed(path: Path) -> Path:
    """Compare a file of a finished stage with the digest in the manifest beside it, and with nothing else.

    Args:
        path: ``<stage>/<file>``.

    Returns:
        ``path``.

    Raises:
        ArtifactError: The manifest does not list it, or it differs.
    """
    manifest = path.parent / "manifest.json"
    for entry in load(manifest, verify=False).files:
        if entry.path == path.name:
            _verify(path.parent, entry)
            return path
    raise ArtifactError(f"{path}: {manifest} does not list it, so nothing says that it is whole")


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder, or the file itself; unfinished writes left out."""
    found = [folder] if folder.is_file() else [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in found if not TEMPORARY.fullmatch(path.name))


def _verify(folder: Path, entry: ManifestFile) -> None:
    path = folder / entry.path
    if not path.is_file():
        raise ArtifactError(f"{path}: missing, though the manifest of {folder} lists it; restore the file")
    found = digest_file(path)
    if found != entry.sha256:
        raise ArtifactError(
            f"{path}: digest differs: expected sha256 {entry.sha256[:16]}…, found {found[:16]}…; the file was changed "
            "or damaged after it was written, restore it"
        )


def _describe(folder: Path, relative: str) -> ManifestFile:
    path = folder / relative
    try:
        with path.open("rb") as file:
            os.fsync(file.fileno())
        rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
        return ManifestFile(relative, rows, path.stat().st_size, digest_file(path))
    except (OSError, pa.ArrowException) as error:
        raise ArtifactError(f"{path}: cannot be published: {getattr(error, 'strerror', None) or error}") from None


def _below(folder: Path, path: Path) -> str:
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        raise ArtifactError(f"{path}: lies outside {folder}, whose manifest should list it") from None


def _folders(folder: Path, relative: str) -> list[Path]:
    return [folder / parent for parent in PurePosixPath(relative).parents]


def _body(manifest: Manifest) -> dict[str, Any]:
    return {"files": [asdict(entry) for entry in manifest.files], "metadata": manifest.metadata}
