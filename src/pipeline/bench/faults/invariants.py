"""What has to hold below an artifact root after any fault; each check returns what does not, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pipeline.artifacts import GenerationStore, list_runs, load, read_json
from pipeline.artifacts.generations import CURRENT
from pipeline.artifacts.runs import RunFolder, differences
from pipeline.errors import EngramError
from pipeline.sessions.champion import find_champion
from pipeline.stores.episode import EPISODE_SCHEMA
from pipeline.stores.persistence import KIND

OWN = {"run_id", "started", "finished", "timings", "workers", "peak_memory_bytes", "placement"}
"""Keys of ``report.json`` in which two runs with the same result may differ."""


def whole(root: Path) -> list[str]:
    """Every manifest is whole and every digest holds, whatever was killed; no store lost its current generation."""
    found = []
    manifests = [*root.glob("runs/*/*/*/*/manifest.json"), *root.glob("**/memory/*/*/gen-*/manifest.json")]
    for path in (*manifests, *root.glob(f"**/memory/*/*/{CURRENT}")):
        try:
            load(path)
        except EngramError as error:
            found.append(f"not whole: {error}")
    for path in root.glob("runs/*/*/*/manifest.json"):
        try:
            RunFolder.at(path.parent).config()
        except EngramError as error:
            found.append(f"not whole: {error}")
    return found


def exact(root: Path, session: str, acknowledged: Collection[str]) -> list[str]:
    """Every acknowledged episode stands in the session's store exactly once, and nothing else does."""
    generation = GenerationStore.of(root, session, KIND).current()
    if generation is None:
        return [f"lost: session {session} has no store"] if acknowledged else []
    counts = Counter(generation.table("episodes", EPISODE_SCHEMA).column("episode_id").to_pylist())
    lost = sorted(set(acknowledged) - counts.keys())
    double = sorted(name for name, count in counts.items() if count > 1)
    strange = sorted(counts.keys() - set(acknowledged))
    told = {"lost": lost, "duplicated": double, "never taught": strange}
    return [f"{what}: {', '.join(ids[:5])} ({len(ids)}) in session {session}" for what, ids in told.items() if ids]


def settled(root: Path) -> list[str]:
    """No run of a root is left running, neither in its folder nor in MLflow."""
    found = [f"left {run.state}: {run.path}" for run in list_runs(root) if run.state != "done"]
    database = root / "mlflow" / "mlflow.db"
    if database.exists():
        import sqlite3

        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            rows = connection.execute("select name, status from runs where status = 'RUNNING'").fetchall()
        connection.close()
        found += [f"left RUNNING in MLflow: {name}" for name, _ in rows]
    return found


def has_champion(root: Path) -> list[str]:
    """The champion's files are what was registered."""
    try:
        return [] if find_champion(root) is not None else ["lost: there is no champion"]
    except EngramError as error:
        return [f"champion: {error}"]


def result_of(run: RunFolder) -> dict[str, Any]:
    """What two undisturbed runs have in common: the report without what is a run's own, and every answer's digest."""
    report = {key: value for key, value in read_json(run.path / "report.json").items() if key not in OWN}
    files = load(run.stage_folder("evaluate") / "manifest.json").files
    return {"report": report, "answers": {file.path: file.sha256 for file in files if file.path == "answers.parquet"}}


def same(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Where a result differs from the undisturbed one."""
    return [f"another result: {line}" for line in differences(wanted, found)[:5]]
