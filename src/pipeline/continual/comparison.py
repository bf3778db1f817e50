"""Many runs side by side, each kept as a file as soon as it is done, so that a comparison that was cut off goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from pipeline.artifacts import digest_file, digest_json, write_bytes
from pipeline.config.continual import ContinualConfig, LearnerConfig
from pipeline.continual.protocol import Outcome, run
from pipeline.continual.stream import Scenario, split_stream
from pipeline.errors import ConfigError
from pipeline.images import load_images

DECIDES = (
    "columns/gated_adam.py",
    "columns/lif.py",
    "columns/network.py",
    "config/columns.py",
    "continual/buffer.py",
    "continual/learner.py",
    "continual/protocol.py",
    "continual/stream.py",
)
"""Modules beside the learners whose change makes earlier outcomes void."""


@dataclass(frozen=True)
class Run:
    """One learner on one stream with one seed.

    Attributes:
        stream: ``mnist-class``, …: data set and scenario.
        method: Its name in the table.
        trial: What of its settings was searched, as YAML.
        learner: Its settings.
        seed: Of everything.
        judged_by: ``test`` or ``validation``.
        validation_images: Images at the end of the training set that are not learned from.
    """

    stream: str
    method: str
    trial: str
    learner: LearnerConfig
    seed: int
    judged_by: str
    validation_images: int

    def key(self, code: str) -> str:
        """Name of the file that holds its outcome: what decides it, and the version of the code."""
        decides = [self.stream, self.learner.model_dump(), self.seed, self.judged_by, self.validation_images, code]
        return digest_json(decides)[:24]


def runs_of(config: ContinualConfig) -> list[Run]:
    """Every run that a configuration asks for: the chosen settings on test images, or the grid on validation images.

    Raises:
        ConfigError: A method has no chosen settings for a stream.
    """
    found = []
    for stream in config.streams:
        for method in config.methods or tuple(config.rows):
            row = config.rows[method]
            if not config.tune and stream not in row.chosen:
                raise ConfigError(f"rows.{method}.chosen has no {stream}: run `engram bench continual --set tune=true`")
            trials = row.trials if config.tune else [row.chosen[stream]]
            seeds, judge = (config.tuning_seeds, "validation") if config.tune else (config.seeds, "test")
            found += [
                Run(stream, method, _yaml(trial), row.learner(trial), seed, judge, config.validation_images)
                for trial in trials
                for seed in seeds
            ]
    return found


def _yaml(settings: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in settings.items()) + "}"


def code_digest() -> str:
    """Version of the code that decides an outcome, and of no other."""
    package = Path(__file__).resolve().parents[1]
    files = [package / part for part in DECIDES] + sorted((package / "continual" / "learners").glob("*.py"))
    return digest_json({file.relative_to(package).as_posix(): digest_file(file) for file in files})


def outcomes(
    runs: Sequence[Run], folder: Path, code: str, processes: int | None, on_done: Callable[[], None]
) -> list[Outcome]:
    """Do what has not been done yet, several runs at a time, and return every run's outcome.

    Args:
        runs: What to do.
        folder: Where outcomes are kept.
        code: Version of the code; outcomes of another one are not used.
        processes: How many at a time; None is one a core.
        on_done: Called after each run, and for each that had been done before.
    """
    paths = [folder / f"{each.key(code)}.json" for each in runs]
    missing = dict.fromkeys(path for path in paths if not path.is_file())
    for _ in range(len(runs) - len(missing)):
        on_done()
    waiting = {path: each for path, each in zip(paths, runs, strict=True) if path in missing}
    for path, outcome in _in_processes(waiting, processes):
        write_bytes(path, json.dumps(asdict(outcome), indent=1).encode())
        on_done()
    return [Outcome(**json.loads(path.read_text())) for path in paths]


def _in_processes(waiting: dict[Path, Run], processes: int | None) -> Iterator[tuple[Path, Outcome]]:
    if not waiting:
        return
    for name in {each.stream.rpartition("-")[0] for each in waiting.values()}:
        load_images(name, "train")  # fetched and checked once, before the processes read it
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        started: dict[Any, Path] = {pool.submit(perform, each): path for path, each in waiting.items()}
        try:
            for done in as_completed(started):
                yield started[done], done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    torch.set_num_threads(1)


def perform(each: Run) -> Outcome:
    """Do one run."""
    name, _, scenario = each.stream.rpartition("-")
    kind: Scenario = "class" if scenario == "class" else "domain"
    stream = split_stream(
        name, kind, each.seed, load_images, validation_images=each.validation_images, judged_by=each.judged_by
    )
    return run(each.learner, stream, each.seed)
