"""Repeat a deployment over seeds: one ordinary run after the other, recorded as soon as each is done.

    repeats/<flow>/<deployment>/<name>/repeat.json  repeat.md

The same command goes on where it stopped: what this repeat has finished is not run again, and an unfinished run is
taken up as `pipeline.artifacts.open_run` does.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifacts import FileLock, RunFolder, differences, digest_json, write_bytes, write_json
from pipeline.config import FlowConfig, check_name, config_dict, config_hash, load_config
from pipeline.errors import ConfigError
from pipeline.report.flows import FlowReport, flow_reports, load_any_report
from pipeline.report.numbers import chosen, known_numbers, matches, nearest, numbers_of, possible
from pipeline.report.repeat import Repeat, SeedRun, over_seeds, read_repeat, repeat_markdown

MOST_SEEDS = 1000

RunSeed = Callable[[FlowConfig, tuple[str, ...]], RunFolder]
"""From one seed's configuration, and the settings that made it, to its finished run."""


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds from ``1-5``, ``1,3,9`` or both mixed, in the order given.

    Raises:
        ConfigError: A part is neither a whole number nor a range that rises, a seed comes twice, or there are too many.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", part.strip())
        if found is None:
            raise ConfigError(f"--seeds {text}: expected whole numbers and ranges such as 1-5 or 1,3,9, found {part!r}")
        first, last = int(found[1]), int(found[2] or found[1])
        if first > last:
            raise ConfigError(f"--seeds {text}: the range {part.strip()} falls; write it as {last}-{first}")
        if len(seeds) + last - first >= MOST_SEEDS:
            raise ConfigError(f"--seeds {text}: expected at most {MOST_SEEDS} seeds")
        seeds += range(first, last + 1)
    if twice := [seed for seed in dict.fromkeys(seeds) if seeds.count(seed) > 1]:
        raise ConfigError(f"--seeds {text}: each seed counts once, found {', '.join(map(str, twice))} more than once")
    return tuple(seeds)


@dataclass(frozen=True)
class Asked:
    """What is to be repeated, checked; see `ask`.

    Attributes:
        target: ``FLOW/DEPLOYMENT``.
        settings: Settings of every run.
        configs: Configuration by seed, in the order of the runs.
        name: Of the repeat.
        prefixes: Which figures are stated.
        demanded: Whether every prefix has to mean some figure.
    """

    target: str
    settings: tuple[str, ...]
    configs: dict[int, FlowConfig]
    name: str
    prefixes: tuple[str, ...]
    demanded: bool

    @property
    def report(self) -> FlowReport:
        """What is known of the flow's report."""
        return flow_reports()[self._any.flow]

    @property
    def folder(self) -> Path:
        """Where the repeat is recorded."""
        return self._any.root / "repeats" / self.target / self.name

    @property
    def _any(self) -> FlowConfig:
        return next(iter(self.configs.values()))


def ask(
    target: str, seeds: Sequence[int], settings: Sequence[str], name: str | None = None, figures: Sequence[str] = ()
) -> Asked:
    """Check everything that can be known before the first run; writes nothing.

    Args:
        target: ``FLOW/DEPLOYMENT``.
        seeds: One run each.
        settings: As of ``engram run``, without a seed.
        name: Of the repeat; None takes it from the deployment and the settings.
        figures: Dotted prefixes; none are the flow's headline.

    Raises:
        ConfigError: A setting, a seed or the name is wrong, the runs would build on each other, or no report of the
            flow has such a figure.
    """
    if given := [text for text in settings if text.partition("=")[0].strip() == "seed"]:
        raise ConfigError(f"--set {given[0]}: a repeat takes its seeds from --seeds; remove the setting")
    configs = {seed: load_config(target, [*settings, f"seed={seed}"]) for seed in seeds}
    first = next(iter(configs.values()))
    if not first.fresh:
        raise ConfigError(
            f"{target} continues the store and champion that the run before left, so its seeds would not be "
            "independent; add --set fresh=true, or repeat another deployment"
        )
    report = flow_reports()[first.flow]
    known = known_numbers(report.schema)
    for prefix in figures:
        if not possible(prefix, known):
            fields = ", ".join(dict.fromkeys(entry.partition(".")[0] for entry in known))
            hint = nearest(prefix, known) or f"; numbers stand in: {fields}"
            raise ConfigError(f"--figure {prefix}: no report of flow {first.flow} has such a number{hint}")
    name = name if name is not None else f"{first.deployment[:55]}-{digest_json(_shared(first))[:8]}"
    return Asked(
        target=f"{first.flow}/{first.deployment}",
        settings=tuple(settings),
        configs=configs,
        name=check_name(name, "repeat"),
        prefixes=tuple(figures) or report.headline,
        demanded=bool(figures),
    )


def _shared(config: FlowConfig) -> dict[str, object]:
    """All that decides a run, but for its seed."""
    return {key: value for key, value in config_dict(config).items() if key != "seed"}


def repeat(asked: Asked, run_seed: RunSeed, tell: Callable[[str], None]) -> Repeat:
    """Run every seed that this repeat has not finished, and state the figures over all that were asked for.

    Args:
        asked: What to repeat.
        run_seed: Does one run.
        tell: Receives lines about every seed: which one comes, and how it ended.

    Raises:
        ConfigError: The repeat was started with other settings, another process is at it, or a report has no figure
            that was asked for. What is finished stays recorded.
    """
    lock = FileLock(asked.folder / ".lock")
    if not lock.acquire():
        raise ConfigError(f"repeat {asked.name} is in use by process {lock.holder()}; wait for it, or choose a --name")
    try:
        return _every_seed(_Record(asked), run_seed, tell)
    finally:
        if not (asked.folder / "repeat.json").exists():
            shutil.rmtree(asked.folder, ignore_errors=True)
        lock.release()


def _every_seed(record: _Record, run_seed: RunSeed, tell: Callable[[str], None]) -> Repeat:
    asked = record.asked
    if record.known:
        record.save()
    for at, (seed, config) in enumerate(asked.configs.items(), start=1):
        where = f"\nseed {seed} ({at} of {len(asked.configs)})"
        if (run := record.known.get(seed)) is None:
            tell(where)
            failed = record.add(seed, run_seed(config, (*asked.settings, f"seed={seed}"))).failed_guards
            tell(f"failed a guard: {', '.join(failed)}" if failed else "every guard passed")
        else:
            tell(f"{where}: run {run.run_id} is finished already")
    return record.save()


class _Record:
    """The repeat as it stands on disk, with the numbers of every finished run."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.known: dict[int, SeedRun] = {}
        self._numbers: dict[int, dict[str, float]] = {}
        path = asked.folder / "repeat.json"
        if path.exists():
            self._take_over(read_repeat(path))

    def _take_over(self, earlier: Repeat) -> None:
        """Runs of an earlier command that are still there; those of seeds that are not asked for now are kept."""
        config = _shared(next(iter(self.asked.configs.values())))
        if changes := differences(earlier.config, config):
            told = "; ".join(changes[:5]) + (f"; and {len(changes) - 5} more" if len(changes) > 5 else "")
            raise ConfigError(
                f"repeat {earlier.name} was started with other settings ({told}); "
                "repeat it with the same ones, or choose another --name"
            )
        for run in earlier.runs:
            asked = self.asked.configs.get(run.seed)
            if asked is None:
                self.known[run.seed] = run
            elif run.config_hash == config_hash(asked) and (folder := self._folder(asked, run)) is not None:
                self.known[run.seed] = run
                self._numbers[run.seed] = numbers_of(load_any_report(folder.path))
        self._check_figures()

    def _folder(self, config: FlowConfig, run: SeedRun) -> RunFolder | None:
        """A finished run's folder, unless somebody removed it."""
        path = config.root / "runs" / config.flow / config.deployment / run.run_id
        if not (path / "manifest.json").is_file():
            return None
        folder = RunFolder.at(path)
        return folder if folder.state == "done" and folder.config_hash == run.config_hash else None

    def add(self, seed: int, run: RunFolder) -> SeedRun:
        """Record a finished run at once, then check that it has the figures that were asked for."""
        report = load_any_report(run.path)
        failed = tuple(guard.name for guard in report.guards if not guard.passed)
        self.known[seed] = SeedRun(
            seed=seed,
            run_id=run.run_id,
            config_hash=run.config_hash,
            code_version=report.code_version,
            failed_guards=failed,
        )
        self._numbers[seed] = numbers_of(report)
        self.save()
        self._check_figures()
        return self.known[seed]

    def save(self) -> Repeat:
        """Write ``repeat.json`` and ``repeat.md``, each atomically."""
        asked = self.asked
        done = {seed: self._numbers[seed] for seed in asked.configs if seed in self._numbers}
        figures, left_out = over_seeds(
            {seed: chosen(numbers, asked.prefixes, asked.report.by_task) for seed, numbers in done.items()}
        )
        found = Repeat(
            target=asked.target,
            name=asked.name,
            settings=asked.settings,
            config=_shared(next(iter(asked.configs.values()))),
            seeds=tuple(asked.configs),
            runs=tuple(self.known[seed] for seed in sorted(self.known)),
            figures=figures,
            left_out=left_out,
        )
        write_json(asked.folder / "repeat.json", found.model_dump(mode="json"))
        write_bytes(asked.folder / "repeat.md", repeat_markdown(found).encode())
        return found

    def _check_figures(self) -> None:
        """Every prefix that a person asked for means a figure of every finished run.

        Raises:
            ConfigError: One does not; a run more would not change that.
        """
        for seed, numbers in self._numbers.items():
            for prefix in self.asked.prefixes if self.asked.demanded else ():
                if not any(matches(name, prefix) for name in numbers):
                    raise ConfigError(
                        f"--figure {prefix}: the report of seed {seed} has no such number{nearest(prefix, numbers)}; "
                        f"what is finished is kept in {self.asked.folder}"
                    )
