"""Find everything that is stored below an artifact root for one session, and take one item out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.artifacts import FileLock, GenerationStore, RunFolder, list_runs
from pipeline.artifacts.manifest import files_below
from pipeline.artifacts.redaction import Redaction, tells
from pipeline.config import ConsolidationConfig
from pipeline.errors import StoreError
from pipeline.sessions.erasing import erase_run, erase_store
from pipeline.stages.memory import MEMORY, session_of
from pipeline.tracking.erasing import erase_tracked


@dataclass
class Erased:
    """What was rewritten: files by where they lie, and runs by name."""

    stores: int = 0
    runs: int = 0
    restarted: int = 0
    tracked: int = 0
    logs: int = 0
    replies: int = 0


def runs_of_session(root: Path, session: str) -> list[tuple[RunFolder, ConsolidationConfig]]:
    """Every run that keeps text of a session, finished or not."""
    found = []
    for run in list_runs(root, "consolidation"):
        config = run.config()
        if isinstance(config, ConsolidationConfig) and session_of(config) == session:
            found.append((run, config))
    return found


def refuse_running(runs: Iterable[RunFolder]) -> None:
    """Refuse to change files under a running night.

    Raises:
        StoreError: A process holds a run.
    """
    for run in runs:
        lock = FileLock(run.path / ".lock")
        if not lock.acquire():
            raise StoreError(f"run {run.run_id} of this session is running (process {lock.holder()}); wait for its end")
        lock.release()


def erase_everywhere(root: Path, session: str, rules: Redaction, text: str) -> Erased:
    """Take the item out of its session's stores, runs, MLflow runs, logs, and the base's kept replies.

    Raises:
        StoreError: A night of the session is running.
        ServiceError: MLflow cannot be reached; the same command goes on from here.
    """
    from pipeline.language.models import cache_folder

    done = Erased()
    runs = runs_of_session(root, session)
    refuse_running(run for run, _ in runs)
    for folder in sorted((root / MEMORY / session).glob("*")):
        if folder.is_dir():
            with GenerationStore(folder).writing():
                done.stores += erase_store(folder, rules)
    for run, config in runs:
        finished = run.state == "done"
        if erase_run(run, config, rules, text):
            done.runs += 1
            done.restarted += not finished
        if finished:
            done.tracked += erase_tracked(run, config, rules)
    for path in _logs(root):
        done.logs += _blank_in_place(path, rules)
    for path in (cache_folder() / "replies").glob("*.parquet"):
        if tells(path, replace(rules, item=None)):
            path.unlink(missing_ok=True)  # the base writes it again when it is asked again
            done.replies += 1
    return done


def _logs(root: Path) -> Iterator[Path]:
    yield from sorted((root / ".engram" / "logs").glob("*"))


def _blank_in_place(path: Path, rules: Redaction) -> bool:
    """Blank a log that a process may be writing to."""
    if not path.is_file():
        return False
    with path.open("r+b") as file:
        text = file.read().decode(errors="surrogateescape")
        told = rules.text(text)
        if told == text:
            return False
        file.seek(0)
        file.write(told.encode(errors="surrogateescape"))
        file.truncate()
    return True


def traces(root: Path, session: str, rules: Redaction) -> list[Path]:
    """Files that still tell of the item, after `erase_everywhere`; empty unless something else wrote meanwhile."""
    folders = [root / MEMORY / session, *(run.path for run, config in runs_of_session(root, session))]
    files = [path for folder in folders for path in files_below(folder) if path.parent.parent.name != MEMORY]
    phrases = replace(rules, item=None, words=())
    return [path for path in files if tells(path, phrases)]
