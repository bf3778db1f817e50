"""SHA-256 digests of files, folders, JSON values and the code itself."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.config import canonical_json
from pipeline.errors import ArtifactError

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
"""Names of unfinished writes; see :mod:`pipeline.artifacts.atomic`."""


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits.

    Raises:
        ArtifactError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot read: {error.strerror}") from None


def digest_json(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form, 64 hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def digest_tree(folder: Path, pattern: str = "*") -> str:
    """SHA-256 over the relative paths and contents of all files below a folder, the same wherever it lies.

    Args:
        folder: A folder; one that does not exist counts as empty.
        pattern: Which file names count, for example ``*.py``.
    """
    files = sorted(path for path in folder.rglob(pattern) if path.is_file() and not TEMPORARY.fullmatch(path.name))
    return digest_json([[path.relative_to(folder).as_posix(), digest_file(path)] for path in files])


@lru_cache(maxsize=1)
def code_version() -> str:
    """Digest of the Python sources of ``src/pipeline``, ``tasks`` and ``flows``, 64 hex digits; computed once."""
    package = Path(__file__).resolve().parents[1]
    folders = {"pipeline": package} | {name: package.parents[1] / name for name in ("tasks", "flows")}
    return digest_json({name: digest_tree(folder, "*.py") for name, folder in folders.items()})
