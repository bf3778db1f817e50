"""What questions recalled from a session since its last night: a log beside its stores, which the next night folds in.

    memory/<session>/recalls.jsonl             open: one line per question, ids and no text
    memory/<session>/recalls-<name>.jsonl      sealed: what a night has begun to fold in

A question appends its line under a lock and never touches a store. A night seals the log; each store takes a sealed
log in once, known by its name, in the very generation that it publishes; the log goes when every store has it. So any
number of questions may be asked while a night runs, and a kill at any point neither loses a recall nor counts one
twice.
"""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.artifacts import FileLock
from pipeline.artifacts.atomic import write_bytes
from pipeline.artifacts.disk import cannot_write, fsync_folder
from pipeline.config import check_name
from pipeline.errors import StoreError
from pipeline.stages.memory import MEMORY

OPEN, SEALED = "recalls.jsonl", "recalls-*.jsonl"
PATIENCE = 60.0  # seconds; one line or one renaming a turn, so only a crowd at a slow disk waits


@dataclass(frozen=True)
class Recalls:
    """One sealed log.

    Attributes:
        path: The file; its stem is the name by which a store knows that it took it in.
        questions: Asked.
        usage: How often each episode answered one, by id.
    """

    path: Path
    questions: int
    usage: Mapping[str, float]

    @property
    def name(self) -> str:
        """Unique among all logs of all sessions."""
        return self.path.stem


def note_recall(root: Path, session: str, usage: Mapping[str, int]) -> None:
    """Append what one question recalled; nothing for a question that no episode answered.

    Args:
        root: Artifact root.
        session: Whose stores were asked.
        usage: How often each episode answered, by id.

    Raises:
        StoreError: Another process holds the lock for `PATIENCE` seconds.
        ArtifactError: The file cannot be written.
    """
    if not usage:
        return
    folder = _folder(root, session)
    line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="seconds"), "episodes": dict(usage)}) + "\n"
    with _locked(folder):
        path = folder / OPEN
        new = not path.exists()
        try:
            with path.open("a+b") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
                torn = file.read(1) not in (b"", b"\n")  # by a power cut
                file.write((b"\n" if torn else b"") + line.encode())
                file.flush()
                os.fsync(file.fileno())
            if new:
                fsync_folder(folder)
        except OSError as error:
            raise cannot_write(path, error) from error


def seal_recalls(root: Path, session: str) -> tuple[Recalls, ...]:
    """Close the open log; every sealed one, the oldest first.

    Raises:
        StoreError, ArtifactError: As `note_recall`.
    """
    folder = _folder(root, session)
    if not any(folder.glob("recalls*.jsonl")):
        return ()
    with _locked(folder):
        path = folder / OPEN
        if path.is_file():
            name = f"recalls-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%f')}-{secrets.token_hex(4)}.jsonl"
            try:
                path.rename(folder / name)
                fsync_folder(folder)
            except OSError as error:
                raise cannot_write(path, error) from error
        sealed = sorted(folder.glob(SEALED))
    return tuple(_read(found) for found in sealed)  # complete for good, so read without the lock


def drop_folded(recalls: Collection[Recalls], folded: Collection[Collection[str]]) -> None:
    """Delete the sealed logs that every store has taken in.

    Args:
        recalls: Sealed logs.
        folded: For each store the names that it knows.
    """
    for log in recalls:
        if all(log.name in names for names in folded):
            log.path.unlink(missing_ok=True)


def forget_recalls(root: Path, session: str, episode_id: str) -> None:
    """Strike an episode off every log of a session.

    Raises:
        StoreError, ArtifactError: As `note_recall`.
    """
    folder = _folder(root, session)
    paths = sorted(folder.glob("recalls*.jsonl"))
    if not paths:
        return
    with _locked(folder):
        for path in (path for path in paths if path.is_file()):
            rows = list(_rows(path))
            if not any(episode_id in row["episodes"] for row in rows):
                continue
            for row in rows:
                row["episodes"].pop(episode_id, None)
            write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def _folder(root: Path, session: str) -> Path:
    return root / MEMORY / check_name(session, "session")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / f".{OPEN}.lock")
    if not lock.wait(PATIENCE):
        raise StoreError(f"{lock.path}: process {lock.holder()} holds the log of recalls; wait for it")
    try:
        yield
    finally:
        lock.release()


def _read(path: Path) -> Recalls:
    usage: Counter[str] = Counter()
    questions = 0
    for row in _rows(path):
        questions += 1
        usage.update({name: float(count) for name, count in row["episodes"].items()})
    return Recalls(path, questions, dict(usage))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a log; one that a power cut tore is left out."""
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("episodes"), dict):
            yield row
