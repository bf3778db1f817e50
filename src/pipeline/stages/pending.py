"""What a session's next night has to unlearn: one small file, private to its owner, that the night deletes.

    memory/<session>/forgetting.json        schema 1, mode 0600

The file holds what an unlearned item was asked and what it answered, which stands nowhere else any more. While an item
is being taken out of all files (``erasing``) it holds the rest of its text as well, so that a command that was killed
can be repeated.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.artifacts import FileLock, StageResult, read_json, write_json
from pipeline.artifacts.disk import cannot_write, fsync_folder
from pipeline.config import ConsolidationConfig, check_name
from pipeline.errors import StoreError
from pipeline.stages.memory import MEMORY, session_of
from pipeline.suites.types import Fact, Question

FILE, SCHEMA_VERSION = "forgetting.json", 1
TONIGHT = "forgetting.json"  # of stage persist_store: ids alone
PRIVATE = 0o600


@dataclass(frozen=True)
class Forgotten:
    """One item that the weights still know.

    Attributes:
        id: The episode's.
        session: The wake session of its row.
        relation: What its questions ask.
        questions: All of them, every split.
        reversed: Questions that give the answer away and ask whom it was about.
        neighbours: Ids of facts that stay, the most alike first.
        erasing: Phrases, words and the text itself until no other file holds them; empty afterwards.
    """

    id: str
    session: str
    relation: str
    questions: tuple[Question, ...]
    reversed: tuple[Question, ...] = ()
    neighbours: tuple[str, ...] = ()
    erasing: Mapping[str, Sequence[str]] | None = None

    def as_fact(self) -> Fact:
        """The item as a fact of which nothing but its questions is known."""
        return Fact(self.id, "", self.session, relation=self.relation, questions=self.questions)


def pending_path(root: Path, session: str) -> Path:
    """Where a session keeps what it is to unlearn."""
    return root / MEMORY / check_name(session, "session") / FILE


def read_pending(root: Path, session: str) -> tuple[Forgotten, ...]:
    """What a session is to unlearn, the oldest first; empty without a file.

    Raises:
        StoreError: The file is not of this program's making.
    """
    path = pending_path(root, session)
    if not path.exists():
        return ()
    content = read_json(path)
    try:
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"version {content['schema_version']!r}")
        return tuple(_item(row) for row in content["items"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: expected items to forget, schema {SCHEMA_VERSION} ({error!r})") from None


def write_pending(root: Path, session: str, items: Sequence[Forgotten]) -> None:
    """Replace what a session is to unlearn; the file goes when there is nothing.

    Raises:
        ArtifactError: It cannot be written.
    """
    path = pending_path(root, session)
    try:
        if not items:
            if path.exists():
                path.unlink()
                fsync_folder(path.parent)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        before = os.umask(0o777 & ~PRIVATE)
        try:
            write_json(path, {"schema_version": SCHEMA_VERSION, "items": [asdict(item) for item in items]})
        finally:
            os.umask(before)
    except OSError as error:
        raise cannot_write(path, error) from error


def drop_pending(root: Path, session: str, ids: Collection[str]) -> None:
    """Strike items off: they were unlearned, or taught again."""
    if not ids or not pending_path(root, session).exists():
        return
    with pending_lock(root, session):
        items = read_pending(root, session)
        staying = [item for item in items if item.id not in ids]
        if len(staying) < len(items):
            write_pending(root, session, staying)


def pending_lock(root: Path, session: str) -> PendingLock:
    """To be held, as a context, from reading the file to writing it."""
    return PendingLock(pending_path(root, session).with_name(f".{FILE}.lock"))


class PendingLock(FileLock):
    """Of one session's file; see `pending_lock`."""

    def __enter__(self) -> PendingLock:
        if not self.held and not self.acquire():
            raise StoreError(f"{self.path}: process {self.holder()} is changing what this session forgets; wait for it")
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def ids_of_night(stored: StageResult) -> tuple[str, ...]:
    """What stage ``persist_store`` found to be unlearned in its night."""
    path = stored.path / TONIGHT
    return tuple(read_json(path)["ids"]) if path.is_file() else ()


def forgotten_of_night(root: Path, config: ConsolidationConfig, stored: StageResult) -> tuple[Forgotten, ...]:
    """The items that a night unlearns, as far as they are still pending."""
    ids = ids_of_night(stored)
    return tuple(item for item in read_pending(root, session_of(config)) if item.id in ids) if ids else ()


def _item(row: Mapping[str, Any]) -> Forgotten:
    item = Forgotten(**row)
    return replace(
        item,
        questions=tuple(_question(q) for q in row["questions"]),
        reversed=tuple(_question(q) for q in row["reversed"]),
        neighbours=tuple(row["neighbours"]),
    )


def _question(row: Mapping[str, Any]) -> Question:
    history = tuple((user, assistant) for user, assistant in row["history"])
    return Question(**{**row, "aliases": tuple(row["aliases"]), "history": history})
