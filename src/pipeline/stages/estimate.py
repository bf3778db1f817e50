"""How long the stages of a run will take: from finished runs of the same deployment, else from rates measured once.

seconds_of(config)["lora_train"]        Estimate(seconds=84.0, source="2 finished runs")
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from pipeline.artifacts import StageResult, list_runs, stage_results
from pipeline.config import ConsolidationConfig, FlowConfig, config_dict
from pipeline.stages.registry import StageSpec, stages_of

RUNS = 5
"""Finished runs that are looked at, the newest first."""

_RATES = {  # seconds a fact, seconds; of 50 facts on two cores, REPRODUCIBILITY.md: teach 13, sleep_distil 94, …
    "teach": (0.2, 3.0),
    "persist_store": (0.01, 1.0),
    "replay_sample": (0.0, 1.0),
    "sleep_distil": (1.0, 40.0),
    "lora_train": (5.5, 5.0),
    "evaluate": (1.5, 75.0),
    "promote": (0.0, 8.0),
    "report": (0.02, 10.0),
}
_RATED_EPOCHS = 12.0  # of lora_train's rate


@dataclass(frozen=True)
class Estimate:
    """Seconds of one stage, and where the figure comes from."""

    seconds: float
    source: str


def seconds_of(config: FlowConfig) -> dict[str, Estimate]:
    """An estimate for every stage that something is known of.

    Finished runs whose settings of the stage are the same count alone where there are any; of others, the median is
    told as such. Without finished runs, nights of consolidation are estimated by rates of a machine with two cores.
    """
    finished = [run for run in list_runs(config.root, config.flow, config.deployment) if run.state == "done"][:RUNS]
    known = [(run.config(), stage_results(run)) for run in finished]
    found = {}
    for spec in stages_of(config.flow).order:
        settings = config_dict(config, spec.sections)
        same = [done for own, done in known if config_dict(own, spec.sections) == settings]
        estimate = _measured(spec, same, "") or _measured(spec, [done for _, done in known], ", other settings")
        estimate = estimate or _rated(spec, config)
        if estimate is not None:
            found[spec.name] = estimate
    return found


def _measured(spec: StageSpec, runs: list[dict[str, StageResult]], remark: str) -> Estimate | None:
    seconds = [done[spec.name].seconds for done in runs if spec.name in done]
    if not seconds:
        return None
    return Estimate(median(seconds), f"{len(seconds)} finished run{'s' if len(seconds) > 1 else ''}{remark}")


def _rated(spec: StageSpec, config: FlowConfig) -> Estimate | None:
    if not isinstance(config, ConsolidationConfig) or spec.name not in _RATES:
        return None
    per_fact, fixed = _RATES[spec.name]
    epochs = config.lora.epochs / _RATED_EPOCHS if spec.name == "lora_train" else 1.0
    return Estimate(fixed + per_fact * config.suite.n * epochs, "rates of two cores")
