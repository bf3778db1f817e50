"""The stages of a consolidation night: what each reads, which settings decide its result, and which pool runs it.

    with opened(run, config, "lora_train", inputs) as s:        # a hit when nothing that decides it has changed
        if s.hit:
            return s.result
        ...
    return s.result

`plan_night` asks the same questions without running anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.artifacts import RunFolder, Stage, StagePlan, StageResult, digest_file, plan, stage
from pipeline.config import ConsolidationConfig, config_dict
from pipeline.errors import ConfigError, DataError

STEPS_SCHEMA = "steps/3"  # of what lora_train writes and report plots
Outside = Callable[[ConsolidationConfig], dict[str, str]]


def _nothing(config: ConsolidationConfig) -> dict[str, str]:
    return {}


def _user_files(config: ConsolidationConfig) -> dict[str, str]:
    """Digests of the files that a suite reads."""
    named = {"suite.path": config.suite.path, "suite.test_forms": config.suite.test_forms}
    given = {key: path for key, path in named.items() if path is not None}
    for key, path in given.items():
        if not path.is_file():
            raise DataError(f"{key}: expected a file, found none at {path}")
    return {key: digest_file(path) for key, path in given.items()}


@dataclass(frozen=True)
class StageSpec:
    """One stage as the flow sees it.

    Attributes:
        name: Its name; also its module in `pipeline.stages`, its task and its folder.
        reads: Earlier stages whose results it receives, and whose digests decide its own.
        sections: Sections of the configuration that decide its result.
        pool: Work pool that runs it with ``placement=workers``.
        outside: Digests of files outside the run that decide its result.
    """

    name: str
    reads: tuple[str, ...]
    sections: tuple[str, ...]
    pool: Literal["cpu", "cuda"] = "cpu"
    outside: Outside = _nothing


NIGHT: tuple[StageSpec, ...] = (
    StageSpec(
        "teach", (), ("seed", "session", "fresh", "suite", "model", "encoder", "gate", "store"), "cpu", _user_files
    ),
    StageSpec("persist_store", ("teach",), ("session", "fresh", "encoder", "gate", "store")),
    StageSpec("replay_sample", ("persist_store",), ("seed", "replay")),
    StageSpec("sleep_distil", ("persist_store", "replay_sample"), ("seed", "model", "encoder", "distil"), "cuda"),
    StageSpec(
        "lora_train", ("persist_store", "replay_sample", "sleep_distil"), ("seed", "fresh", "model", "lora"), "cuda"
    ),
    StageSpec(
        "evaluate",
        ("teach", "persist_store", "sleep_distil", "lora_train"),
        ("seed", "model", "encoder", "suite", "evaluation"),
        "cuda",
    ),
    StageSpec(
        "promote",
        ("teach", "persist_store", "replay_sample", "sleep_distil", "lora_train", "evaluate"),
        ("guards", "tracking"),
    ),
    StageSpec(
        "report",
        ("teach", "persist_store", "replay_sample", "sleep_distil", "lora_train", "evaluate", "promote"),
        ("seed", "evaluation", "guards", "tracking"),
    ),
)
"""Every stage in order. Training never reads ``teach``: test questions lie there, and nowhere on its way."""

STAGES = tuple(spec.name for spec in NIGHT)


def spec_of(name: str) -> StageSpec:
    """The stage of that name.

    Raises:
        ConfigError: There is none.
    """
    for spec in NIGHT:
        if spec.name == name:
            return spec
    raise ConfigError(f"unknown stage {name!r}; a night has: {', '.join(STAGES)}")


def _key(spec: StageSpec, config: ConsolidationConfig, digests: Mapping[str, str | None]) -> dict[str, Any]:
    inputs = {name: digests.get(name) for name in spec.reads} | spec.outside(config)
    return {"inputs": inputs, "config": config_dict(config, spec.sections)}


@contextmanager
def opened(
    run: RunFolder, config: ConsolidationConfig, name: str, inputs: Mapping[str, StageResult]
) -> Iterator[Stage]:
    """Open stage ``name`` of ``run`` with the key that its `StageSpec` describes; see `pipeline.artifacts.stage`.

    Args:
        run: The run's folder.
        config: The run's configuration.
        name: One of `STAGES`.
        inputs: Results of at least the stages that it reads.

    Raises:
        ConfigError: An earlier stage is missing, or another process runs this one.
    """
    spec = spec_of(name)
    missing = [reads for reads in spec.reads if reads not in inputs]
    if missing:
        raise ConfigError(f"stage {name} needs the results of {', '.join(missing)}, which did not run")
    key = _key(spec, config, {reads: inputs[reads].digest for reads in spec.reads})
    with stage(run, name, **key) as current:
        yield current


def plan_night(run: RunFolder | None, config: ConsolidationConfig, start: str | None = None) -> list[StagePlan]:
    """What a run would do now, stage by stage, without doing it.

    Args:
        run: The run that would be resumed, or None for a new one.
        config: Its configuration.
        start: Stage from which everything is to run again (``--from``).
    """
    forced = STAGES[STAGES.index(spec_of(start).name) :] if start else ()
    plans: list[StagePlan] = []
    digests: dict[str, str | None] = {}
    for spec in NIGHT:
        verdict = plan(run, spec.name, **_key(spec, config, digests), force=spec.name in forced)
        digests[spec.name] = verdict.digest
        plans.append(verdict)
    return plans
