"""The small night that is disturbed, and the undisturbed one that it has to equal.

A teacher teaches a few facts into a session; a night continues that session with a suite of its own; a second night
follows. Everything is one of the commands that people type.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from pipeline.artifacts import GenerationStore, list_runs, read_table, stage_results, write_bytes
from pipeline.artifacts.runs import RunFolder
from pipeline.bench.faults.commands import Ended, Engram
from pipeline.bench.faults.invariants import result_of
from pipeline.bench.isolation import BenchmarkError
from pipeline.config import SuiteConfig, TrackingConfig
from pipeline.config.faults import FaultsBenchConfig
from pipeline.stores.episode import EPISODE_SCHEMA
from pipeline.stores.persistence import KIND
from pipeline.suites.registry import build_suite
from pipeline.tracking.store import open_client, tracking_uri

SESSION = "campaign"
DEPLOYMENT = "consolidation/nightly"
_OF_TEACHERS = ("model.", "encoder.", "gate.", "store.")


@dataclass(frozen=True)
class Step:
    """One command of a night, and how many finished runs there are after it."""

    name: str
    arguments: tuple[str, ...]
    runs: int


@dataclass(frozen=True)
class Reference:
    """What an undisturbed night did.

    Attributes:
        root: Where it lies.
        ended: How each step ended, by name.
        seconds: Of every stage of the first night.
        results: Of the first night, and of the second where there was one.
        bytes: That one teacher and one night need.
    """

    root: Path
    ended: dict[str, Ended]
    seconds: dict[str, float]
    results: tuple[dict[str, Any], ...]
    bytes: int


class Nights:
    """Makes roots, commands and the reference.

    Args:
        config: Of the campaign.
        work: Folder for everything.
    """

    def __init__(self, config: FaultsBenchConfig, work: Path) -> None:
        self.config, self.work = config, work
        self.engram = Engram(config.program, work / "logs", config.timeout)
        self._template = work / "template"
        self._roots = 0

    def root(self, kind: str) -> Path:
        """A new artifact root; every other one still lacks MLflow's database, which takes seconds to create."""
        self._roots += 1
        path = self.work / f"{kind}-{self._roots:04d}"
        if self._roots % 4 == 0:
            path.mkdir()
        else:
            self.prepare(path)
        return path

    def prepare(self, root: Path) -> None:
        """Put MLflow's empty database below a root."""
        if not self._template.exists():
            open_client(tracking_uri(TrackingConfig(), self._template))  # no experiment: it names its folder for good
        root.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self._template / "mlflow", root / "mlflow")

    def done_with(self, root: Path, problems: list[str]) -> None:
        """Remove a root where all went well."""
        if not problems and not self.config.keep:
            shutil.rmtree(root, ignore_errors=True)

    def facts(self, name: str) -> Path:
        """A teacher's file of facts, the same for the same seed and name."""
        path = self.work / f"facts-{name}.jsonl"
        if not path.exists():
            suite = build_suite(SuiteConfig(n=self.config.facts), self.config.seed + 1 + sum(name.encode()))
            rows = [
                {
                    "id": f"{name}-{fact.id}",
                    "text": fact.text,
                    "questions": [
                        {"question": q.question, "answer": q.answer, "aliases": list(q.aliases), "split": q.split}
                        for q in fact.questions
                        if q.style == "question" and not q.history and q.system is None
                    ],
                }
                for fact in suite.taught
            ]
            write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
        return path

    def taught_by(self, name: str) -> list[str]:
        """Ids of a teacher's facts."""
        return [json.loads(line)["id"] for line in self.facts(name).read_text().splitlines()]

    def teach(self, name: str) -> Step:
        """A teacher's command."""
        settings = [s for s in self.config.night if s.startswith(_OF_TEACHERS)]
        return Step(f"teach {name}", ("teach", str(self.facts(name)), "--session", SESSION, *_set(settings)), 0)

    def night(self, number: int, *more: str) -> Step:
        """A night's command; each number has its own seed."""
        own = [f"session={SESSION}", f"suite.name={self.config.suite}", f"suite.n={self.config.n}"]
        own += [f"seed={self.config.seed + number}", *self.config.night, *more]
        return Step(f"night {number}", ("run", DEPLOYMENT, "--quiet", *_set(own)), number)

    def steps(self) -> list[Step]:
        """One teacher, then one night."""
        return [self.teach("first"), self.night(1)]

    def acknowledged(self, root: Path, teachers: list[str]) -> set[str]:
        """Ids that have to be in the session's store: what teachers taught, and what finished nights stored."""
        ids = {name for teacher in teachers for name in self.taught_by(teacher)}
        for run in list_runs(root):
            taught = stage_results(run).get("teach")
            if taught is not None and "persist_store" in stage_results(run):
                rows = read_table(taught.path / "candidates.parquet", EPISODE_SCHEMA)
                ids |= set(rows.column("episode_id").to_pylist())
        return ids

    def reference(self, say: Callable[[str], None]) -> Reference:
        """Run teacher and night undisturbed, and a second night where files of the first are to be damaged.

        Raises:
            BenchmarkError: A command fails even undisturbed, or the store already is not what was taught.
        """
        root, ended, size = self.work / "reference", {}, 0
        self.prepare(root)
        second = [self.night(2)] if "flip" in self.config.kinds else []
        for step in (*self.steps(), *second):
            say(step.name)
            ended[step.name] = done = self.engram.run(step.arguments, root)
            if done.status not in (0, 1):
                raise BenchmarkError(f"{step.name} ends with status {done.status} undisturbed: {done.output[-2000:]}")
            size = size if step.runs > 1 else bytes_below(root)
        runs = sorted(list_runs(root), key=lambda run: str(run.manifest()["started"]))
        seconds = {name: result.seconds for name, result in stage_results(runs[0]).items()}
        return Reference(root, ended, seconds, tuple(map(result_of, runs)), size)


def run_of(root: Path, number: int) -> RunFolder | None:
    """The run of night ``number`` (from 1), finished or not, in the order of their starts."""
    runs = sorted(list_runs(root), key=lambda run: str(run.manifest()["started"]))
    return runs[number - 1] if len(runs) >= number else None


def bytes_below(root: Path) -> int:
    """Bytes of all files below a folder, in blocks as they lie on a disk."""
    return sum(path.stat().st_blocks * 512 for path in root.rglob("*") if path.is_file())


def episodes_of(root: Path) -> int:
    """Rows of the session's store."""
    generation = GenerationStore.of(root, SESSION, KIND).current()
    return (
        0 if generation is None else int(pc.count(generation.table("episodes", EPISODE_SCHEMA)["episode_id"]).as_py())
    )


def _set(settings: list[str] | tuple[str, ...]) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]
