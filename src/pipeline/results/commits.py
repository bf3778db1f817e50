"""Which commit holds the code that a run used: the oldest one whose sources have the run's digest.

A report tells `pipeline.artifacts.code_version`, a digest of the sources, as a run may lie far from any repository.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pipeline.artifacts import digest_json

FOLDERS = {"pipeline": "src/pipeline", "tasks": "tasks", "flows": "flows"}
MOST = 2000  # commits that are looked at, newest first
DIGITS = 7


def commits_of(versions: Iterable[str], repository: Path) -> dict[str, str]:
    """Short commit by version of the code; versions that no commit holds, such as edited code, are left out.

    Args:
        versions: Digests as `pipeline.artifacts.code_version` gives them.
        repository: A git work tree; without git, or without its history, nothing is found.
    """
    wanted, found = set(versions), dict[str, str]()
    try:
        names = _git(repository, "rev-list", f"--max-count={MOST}", "HEAD").decode().split() if wanted else []
        digests: dict[str, str] = {}
        for name in names:
            version = _version(repository, name, digests)
            if version in wanted:
                found[version] = name[:DIGITS]  # older ones come later
            elif wanted <= found.keys():
                break
    except (OSError, subprocess.SubprocessError):
        return {}
    return found


def _version(repository: Path, commit: str, digests: dict[str, str]) -> str:
    """As `pipeline.artifacts.code_version` of a checkout of this commit."""
    listed = _git(repository, "ls-tree", "-r", "-z", commit, "--", *FOLDERS.values()).decode().split("\0")
    blobs = {PurePosixPath(line.partition("\t")[2]): line.split()[2] for line in listed if line.endswith(".py")}
    _read(repository, [blob for blob in blobs.values() if blob not in digests], digests)
    trees = {}
    for name, folder in FOLDERS.items():
        files = sorted(path for path in blobs if path.is_relative_to(folder))
        trees[name] = digest_json([[str(path.relative_to(folder)), digests[blobs[path]]] for path in files])
    return digest_json(trees)


def _read(repository: Path, blobs: list[str], digests: dict[str, str]) -> None:
    """Add the SHA-256 of every blob's content."""
    if not blobs:
        return
    output = _git(repository, "cat-file", "--batch", given="\n".join(blobs).encode() + b"\n")
    at = 0
    for blob in blobs:
        end = output.index(b"\n", at)
        size = int(output[at:end].split()[2])
        digests[blob] = hashlib.sha256(output[end + 1 : end + 1 + size]).hexdigest()
        at = end + size + 2


def _git(repository: Path, *arguments: str, given: bytes | None = None) -> bytes:
    done = subprocess.run(["git", "-C", str(repository), *arguments], input=given, capture_output=True, check=True)
    return done.stdout
