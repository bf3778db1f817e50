"""What the stages of any flow have in common: what each reads, which settings decide its result, who runs it.

    with opened(run, config, "lora_train", inputs) as s:        # a hit when nothing that decides it has changed
        if s.hit:
            return s.result
        ...
    return s.result

`plan_run` asks the same questions without running anything.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.artifacts import RunFolder, Stage, StagePlan, StageResult, load, plan, stage
from pipeline.artifacts.stages import MANIFEST
from pipeline.config import FlowConfig, config_dict
from pipeline.errors import ArtifactError, ConfigError

Outside = Callable[[Any], dict[str, str]]
"""From a flow's configuration to digests of what decides a result beside inputs and sections: files outside the run."""


def _nothing(config: FlowConfig) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class StageSpec:
    """One stage as the flow sees it.

    Attributes:
        name: Its name; also its module in the flow's package of stages, its task and its folder.
        reads: Earlier stages whose results it receives, and whose digests decide its own.
        sections: Sections of the configuration that decide its result.
        pool: Work pool that runs it with ``placement=workers``.
        outside: What else decides its result, such as digests of files outside the run.
    """

    name: str
    reads: tuple[str, ...]
    sections: tuple[str, ...]
    pool: Literal["cpu", "cuda"] = "cpu"
    outside: Outside = _nothing


@dataclass(frozen=True)
class FlowStages:
    """A flow's stages in order, and the package that holds a module with a function ``run`` for each."""

    package: str
    order: tuple[StageSpec, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all stages in order."""
        return tuple(spec.name for spec in self.order)

    def spec(self, name: str) -> StageSpec:
        """The stage of that name.

        Raises:
            ConfigError: There is none.
        """
        for spec in self.order:
            if spec.name == name:
                return spec
        raise ConfigError(f"unknown stage {name!r}; a night has: {', '.join(self.names)}")


PACKAGES = {
    "consolidation": "pipeline.stages",
    "columns": "pipeline.columns.stages",
    "plasticity": "pipeline.plasticity.stages",
    "needle": "pipeline.needle.stages",
    "sleepwake": "pipeline.sleepwake.stages",
}
"""Where the stages of each flow lie: one module per stage with a function ``run``, and ``order`` with ``STAGES``."""


def stages_of(flow: str) -> FlowStages:
    """The stages of a flow.

    Raises:
        ConfigError: The flow has none.
    """
    if flow not in PACKAGES:
        raise ConfigError(f"flow {flow!r} has no stages; known: {', '.join(sorted(PACKAGES))}")
    return FlowStages(PACKAGES[flow], importlib.import_module(f"{PACKAGES[flow]}.order").STAGES)


def _key(spec: StageSpec, config: FlowConfig, digests: Mapping[str, str | None]) -> dict[str, Any]:
    inputs = {name: digests.get(name) for name in spec.reads} | spec.outside(config)
    return {"inputs": inputs, "config": config_dict(config, spec.sections)}


@contextmanager
def opened(run: RunFolder, config: FlowConfig, name: str, inputs: Mapping[str, StageResult]) -> Iterator[Stage]:
    """Open stage ``name`` of ``run`` with the key that its `StageSpec` describes; see `pipeline.artifacts.stage`.

    Args:
        run: The run's folder.
        config: The run's configuration.
        name: A stage of its flow.
        inputs: Results of at least the stages that it reads.

    Raises:
        ConfigError: An earlier stage is missing, or another process runs this one.
        ArtifactError: A file that it reads is not what the earlier stage published.
    """
    spec = stages_of(config.flow).spec(name)
    missing = [reads for reads in spec.reads if reads not in inputs]
    if missing:
        raise ConfigError(f"stage {name} needs the results of {', '.join(missing)}, which did not run")
    key = _key(spec, config, {reads: inputs[reads].digest for reads in spec.reads})
    with stage(run, name, **key) as current:
        if not current.hit:
            for reads in spec.reads:
                _check(inputs[reads])
        yield current


def _check(result: StageResult) -> None:
    """Refuse an input that is no longer what the earlier stage published.

    Raises:
        ArtifactError: A file is missing or differs from its digest, or the stage has been run again meanwhile.
    """
    found = load(result.path / MANIFEST).digest
    if found != result.digest:
        raise ArtifactError(
            f"{result.path / MANIFEST}: stage {result.stage} was run again while this night read its result "
            f"(expected digest {result.digest[:16]}…, found {found[:16]}…); run the same command again"
        )


def plan_run(
    run: RunFolder | None, config: FlowConfig, start: str | None = None, only: str | None = None
) -> list[StagePlan]:
    """What a run would do now, stage by stage, without doing it.

    Args:
        run: The run that would be resumed, or None for a new one.
        config: Its configuration.
        start: Stage from which everything is to run again (``--from``).
        only: The one stage that is to run (``--only``); what follows it is left out.
    """
    stages = stages_of(config.flow)
    order = stages.order[: stages.names.index(stages.spec(only).name) + 1] if only else stages.order
    forced = stages.names[stages.names.index(stages.spec(start).name) :] if start else ()
    plans: list[StagePlan] = []
    digests: dict[str, str | None] = {}
    for spec in order:
        verdict = plan(run, spec.name, **_key(spec, config, digests), force=spec.name in forced)
        digests[spec.name] = verdict.digest
        plans.append(verdict)
    return plans
