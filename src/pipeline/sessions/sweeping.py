"""Run every variant of a sweep over its seeds, each as an ordinary run below an artifact root of its own.

    sweeps/<sweep>/<variant>/<seed>-<config hash>/runs/…      so that no champion and no store is shared
    sweeps/<sweep>/sweep.csv  sweep.md  sweep.svg  sweep.png  written anew after every run

What is finished with the same settings is not run again, and an unfinished run is taken up. A run that cannot finish is
reported, and the others go on.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from statistics import median

from pipeline.artifacts import FileLock, RunFolder, list_runs
from pipeline.config import ConsolidationConfig, check_name, config_hash, load_config
from pipeline.config.sweeps import SweepConfig, VariantConfig, as_overrides
from pipeline.errors import ConfigError, EngramError
from pipeline.report.compare import flatten
from pipeline.report.sweep import Measured, Sweep, Variant, measured, write_sweep

TOKENS_PER_QUESTION = (
    452  # trained per learned question, prompts and rehearsal included, at 50, 200 and 1,000 facts alike
)


@dataclass(frozen=True)
class Point:
    """One variant with one seed.

    Attributes:
        variant: Its name.
        seed: The run's.
        target: ``FLOW/DEPLOYMENT``.
        overrides: All settings, artifact root and seed included.
        config: What they make together.
    """

    variant: str
    seed: int
    target: str
    overrides: tuple[str, ...]
    config: ConsolidationConfig

    @property
    def name(self) -> str:
        """Variant and seed, for people."""
        return f"{self.variant}, seed {self.seed}"

    @property
    def finished(self) -> RunFolder | None:
        """Its finished run, if there is one."""
        runs = list_runs(self.config.root, self.config.flow, self.config.deployment)
        digest = config_hash(self.config)
        return next((run for run in runs if run.state == "done" and run.config_hash == digest), None)

    @property
    def tokens(self) -> int:
        """Tokens that it trains at most, roughly: nights that know their facts end early."""
        lora = self.config.lora
        nights, facts = 1.0, self.config.suite.n
        if self.config.nights is not None:
            facts = self.config.nights.facts
            nights = 1 + (self.config.nights.count - 1) * (1 + lora.known_ratio)  # the first has nothing to rehearse
        return round(nights * facts * lora.forms_per_epoch * lora.epochs * TOKENS_PER_QUESTION)


RunPoint = Callable[[Point, str | None], object]
"""Does one run, on the GPU of that number where one is named; raises an error if it cannot finish."""


@dataclass(frozen=True)
class AskedSweep:
    """A sweep, checked: every configuration is known to be valid before the first run.

    Attributes:
        name: Of the sweep's folder.
        config: As it was loaded.
        home: Artifact root in which the sweep lies.
        points: Every run, variant by variant.
    """

    name: str
    config: SweepConfig
    home: Path
    points: tuple[Point, ...]

    @property
    def folder(self) -> Path:
        """Where its runs and tables lie."""
        return self.home / "sweeps" / self.name

    def seconds_per_token(self) -> float | None:
        """Of the finished runs of this sweep: median of a run's seconds over the tokens that were expected of it."""
        found = [
            measured(point.variant, point.seed, run).seconds / point.tokens
            for point in self.points
            if (run := point.finished) is not None
        ]
        return median(found) if found else None


def ask_sweep(
    name: str,
    config: SweepConfig,
    settings: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    only: Sequence[str] = (),
) -> AskedSweep:
    """Check everything that can be known before the first run; writes nothing.

    Args:
        name: Of the sweep.
        config: Its configuration.
        settings: As of ``engram run``; a variant's own settings win over them.
        seeds: In place of the sweep's.
        only: Names of the variants to run; none are all.

    Raises:
        ConfigError: A setting, name or variant is wrong, or the deployment is of another flow than consolidation.
    """
    if unknown := [variant for variant in only if variant not in config.variants]:
        raise ConfigError(f"unknown variant {unknown[0]!r}; {name} has: {', '.join(config.variants)}")
    if given := [text for text in settings if text.partition("=")[0].strip() == "seed"]:
        raise ConfigError(f"--set {given[0]}: a sweep takes its seeds from its file or --seeds; remove the setting")
    chosen = {key: variant for key, variant in config.variants.items() if not only or key in only}
    check_name(name, "sweep")
    points = [
        _point(name, config, settings, key, variant, seed)
        for key, variant in chosen.items()
        for seed in (seeds or config.seeds)
    ]
    if config.axis is not None:
        for point in points:
            axis_value(point.config, config.axis)
    kept = config.model_copy(update={"variants": chosen})
    home = load_config(config.target, settings).root
    return AskedSweep(name, kept, home, tuple(points))


def _point(
    name: str, config: SweepConfig, settings: Sequence[str], key: str, variant: VariantConfig, seed: int
) -> Point:
    target = variant.target or config.target
    texts = (*as_overrides(config.settings), *settings, *as_overrides(variant.settings), f"seed={seed}")
    try:
        loaded = load_config(target, texts)
    except ConfigError as error:
        raise ConfigError(f"sweep {name}, variant {key}: {error}") from None
    if not isinstance(loaded, ConsolidationConfig):
        raise ConfigError(f"sweep {name}, variant {key}: expected a deployment of flow consolidation, found {target}")
    folder = loaded.root / "sweeps" / name
    root = folder / check_name(key, "variant") / f"{seed}-{config_hash(loaded)[:8]}"
    placed = [f"root={root}"]
    if not loaded.fresh:  # a continuing night goes on from the champion of its registry, which must be its own
        placed.append("tracking.uri=null")
    elif loaded.tracking.uri is None:
        placed.append(f"tracking.uri=sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
    if loaded.mirror.url is not None:  # points that continue stores of one name would meet there
        placed.append("mirror.url=null")
    final = load_config(target, (*texts, *placed))
    assert isinstance(final, ConsolidationConfig)
    return Point(key, seed, target, (*texts, *placed), final)


def axis_value(config: ConsolidationConfig, axis: str) -> float:
    """The number that a configuration has under a dotted key.

    Raises:
        ConfigError: It has none there, or one that a logarithmic axis cannot show.
    """
    value = flatten(config.model_dump(mode="json")).get(axis)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ConfigError(f"axis {axis}: expected a setting that is a number above zero, found {value!r}")
    return float(value)


def sweep(
    asked: AskedSweep, run_point: RunPoint, tell: Callable[[str], None], jobs: int = 1, gpus: Sequence[str] = ()
) -> Sweep:
    """Run what is not finished, and write the tables and the plot after every run.

    Args:
        asked: What to run.
        run_point: Does one run; with several jobs it is called from several threads.
        tell: Receives a line about every run.
        jobs: Runs at a time.
        gpus: Numbers of the GPUs over which jobs are spread.

    Raises:
        ConfigError: Another process is at this sweep.
    """
    asked.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(asked.folder / ".lock")
    if not lock.acquire():
        raise ConfigError(f"sweep {asked.name} is in use by process {lock.holder()}; wait for it, or choose a --name")
    try:
        todo = [point for point in asked.points if point.finished is None]
        if done := len(asked.points) - len(todo):
            tell(f"{done} of {len(asked.points)} runs are finished already")
        failed: dict[tuple[str, int], str] = {}
        for number, (point, error) in enumerate(_every(todo, run_point, tell, jobs, gpus), start=1):
            if error is not None:
                failed[point.variant, point.seed] = error
            tell(f"[{number} of {len(todo)}] {point.name}: {error or 'finished'}")
            _save(asked, failed)
        return _save(asked, failed)
    finally:
        lock.release()


def _every(
    points: Sequence[Point], run_point: RunPoint, tell: Callable[[str], None], jobs: int, gpus: Sequence[str]
) -> Iterator[tuple[Point, str | None]]:
    """Do the runs in this thread, or several at a time in threads of their own; each with what went wrong, or None."""
    free: Queue[str | None] = Queue()
    for slot in range(jobs):
        free.put(gpus[slot % len(gpus)] if gpus else None)

    def attempt(point: Point) -> tuple[Point, str | None]:
        gpu = free.get()
        tell(f"{point.name} begins" + (f" on GPU {gpu}" if gpu is not None else ""))
        try:
            run_point(point, gpu)
            return point, None if point.finished is not None else "left no finished run"
        except Exception as error:
            return point, _told(point, error)
        finally:
            free.put(gpu)

    if jobs == 1:
        yield from map(attempt, points)
        return
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(attempt, point) for point in points]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _told(point: Point, error: Exception) -> str:
    """One line about an error; the traceback of one that nobody foresaw is kept beside the run."""
    line = (str(error).splitlines() or [type(error).__name__])[0][:300]
    if isinstance(error, EngramError):
        return line
    path = point.config.root / "traceback.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(traceback.format_exception(error)))
    return f"{type(error).__name__}: {line}; the traceback is in {path}"


def _save(asked: AskedSweep, failed: dict[tuple[str, int], str]) -> Sweep:
    """Everything that is finished by now, as tables and a plot."""
    variants = []
    for key, variant in asked.config.variants.items():
        points = [point for point in asked.points if point.variant == key]
        runs: list[Measured] = []
        for point in points:
            if (run := point.finished) is not None:
                runs.append(measured(key, point.seed, run))
        axis = asked.config.axis
        variants.append(
            Variant(
                name=key,
                target=variant.target or asked.config.target,
                settings=as_overrides(variant.settings),
                axis=None if axis is None else axis_value(points[0].config, axis),
                runs=tuple(runs),
                failures=tuple((p.seed, failed[key, p.seed]) for p in points if (key, p.seed) in failed),
                seeds=tuple(point.seed for point in points),
                baseline=variant.baseline,
            )
        )
    found = Sweep(asked.name, asked.config.title, asked.config.axis, tuple(variants))
    write_sweep(found, asked.folder)
    return found
