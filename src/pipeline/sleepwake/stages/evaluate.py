"""Stage ``evaluate``: what the weights alone answer before and after sleeps, what was forgotten, and controls.

The one stage that asks facts under test keys. Writes ``metrics.json`` and ``answers.parquet`` with every answer. A
control that is finished is kept beside (``control_<name>.json``), so that a stage that was cut short goes on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.artifacts import RunFolder, Stage, StageResult, read_json, read_table, write_json
from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.progress import Progress
from pipeline.sleepwake.building import corpus_of, device_of, load_model
from pipeline.sleepwake.controls import (
    CONTROLS,
    Examined,
    control_steps,
    controls_of,
    passkey_shares,
    recall_in_streams,
)
from pipeline.sleepwake.cycles import Life
from pipeline.sleepwake.days import EPISODES_SCHEMA, STREAMS_SCHEMA, Days, days_of, streams_of
from pipeline.sleepwake.measures import (
    Row,
    arithmetic_shares,
    asked_rows,
    gap_facts,
    gap_rights,
    interval,
    present,
    share,
    unseen_figures,
)
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.parts import PARTS, PartInput
from pipeline.sleepwake.pretraining import nats
from pipeline.sleepwake.recall import recall_of, recalled
from pipeline.sleepwake.stages.later_cycles import model_of
from pipeline.sleepwake.stages.pretrain_byte_lm import MODEL
from pipeline.sleepwake.stages.pretrain_codebook import CODEBOOK
from pipeline.sleepwake.stages.sleep import awake
from pipeline.sleepwake.svf import decompose, identity_error
from pipeline.sleepwake.text import Corpus
from pipeline.stages.registry import opened

ANSWERS_SCHEMA = "sleepwake-answers/1"


@dataclass(frozen=True)
class _Case:
    """What the examination has to do with."""

    run: RunFolder
    config: SleepWakeConfig
    inputs: dict[str, StageResult]
    device: str
    corpus: Corpus
    days: Days
    streams: list[list[bytes]]

    def model(self, cycle: int | None) -> SleepWakeModel:
        """The model behind a cycle; None is before any sleep."""
        first = self.config.sleep.first_cycle
        if cycle is None:
            path = self.inputs["pretrain_byte_lm"].path / MODEL
        elif cycle == first:
            path = self.inputs["sleep"].path / MODEL
        else:
            path = model_of(self.inputs["later_cycles"].path, cycle)
        return load_model(self.config, path, self.device)

    @property
    def before(self) -> dict[str, Any]:
        """What pre-training measured of its model on validation text and keys."""
        return self.inputs["pretrain_byte_lm"].metrics

    @property
    def cycles(self) -> list[int]:
        """Cycles that end in a sleep."""
        return [self.config.sleep.first_cycle, *self.config.later_cycles]


def run(run: RunFolder, config: SleepWakeConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: All earlier stages.
        progress: Reports parts of the work.
    """
    with opened(run, config, "evaluate", inputs) as stage:
        if stage.hit:
            return stage.result
        told = inputs["generate_episodes"].path
        streams = read_table(told / "streams.parquet", STREAMS_SCHEMA)
        case = _Case(
            run,
            config,
            inputs,
            device_of(config),
            corpus_of(config),
            days_of(read_table(told / "episodes.parquet", EPISODES_SCHEMA)),
            [streams_of(streams, cycle) for cycle in range(config.episodes.cycles)],
        )
        progress.phase("facts and text", 2 + len(case.cycles))
        base = case.model(None)
        rows = asked_rows(base, "base", case.days.facts, case.cycles[0])
        measured: dict[str, Any] = _base_figures(case, base)
        progress.advance()
        slept, guards = _after_sleeps(case, base, rows, measured, progress)
        measured |= _recall_figures(case, rows)
        measured["efficiency"] = _efficiency(case, base, slept)
        progress.phase("gaps")
        measured["gap"] = _gaps(case, base, rows)
        measured["controls"] = _controls(stage, case, progress)
        measured["parts"] = _parts(stage, case, progress)
        measured["guard_figures"] = guards
        stage.write_table("answers", pa.Table.from_pylist(rows), ANSWERS_SCHEMA)
        stage.write_json("metrics.json", measured)
        stage.metrics = {"recall_before": measured["recall_before"], "recall_after": measured["recall_after"]}
    return stage.result


def _base_figures(case: _Case, base: SleepWakeModel) -> dict[str, Any]:
    """Of the model before any sleep."""
    config, corpus = case.config, case.corpus
    linear = {name: weight for name, weight in base.named_parameters() if weight.ndim == 2}
    before = case.before
    return {
        "byte_lm": {
            "nats": before["nats"],
            "nats_test": nats(base, corpus.test),
            "nats_memory": before["nats_memory"],
        },
        "memory": {
            "with": recall_in_streams(base, config, corpus, memory=True),
            "without": recall_in_streams(base, config, corpus, memory=False),
        },
        "passkey": passkey_shares(base, config, corpus),
        "svf": {
            "identity_error": max(identity_error(weight, decompose(weight), config.svf) for weight in linear.values())
        },
        "arithmetic": {"base": arithmetic_shares(base, config)},
    }


def _after_sleeps(
    case: _Case, base: SleepWakeModel, rows: list[Row], measured: dict[str, Any], progress: Progress
) -> tuple[SleepWakeModel, dict[str, float | None]]:
    """Ask every model behind a sleep; adds answers, drift and what guards look at."""
    config, corpus, first = case.config, case.corpus, case.cycles[0]
    test, validation = measured["byte_lm"]["nats_test"], measured["byte_lm"]["nats"]
    guard_facts = [fact for fact in case.days.guard_facts if fact.told[0] <= first]
    drift, guarded, slept = list[float](), list[float](), base
    for cycle in case.cycles:
        model = case.model(cycle)
        rows += asked_rows(model, f"cycle_{cycle}", case.days.facts, cycle)
        drift.append(nats(model, corpus.test) / test - 1)
        guarded.append(recall_of(model, guard_facts))
        if cycle == first:
            slept, measured["arithmetic"]["slept"] = model, arithmetic_shares(model, config)
            guard_drift = nats(model, corpus.validation) / validation - 1
        progress.advance()
    measured["memory"]["with_after_sleeps"] = recall_in_streams(model, config, corpus, memory=True)
    measured["drift"] = {"base": drift[0], "bits": test * drift[0] / math.log(2), "last": drift[-1], "by_cycle": drift}
    before = case.before
    return slept, {
        "nats": before["nats"],
        "memory_gain": before["recall_memory"] - before["recall_window"],
        "recall": guarded[0],
        "retention": guarded[-1] if len(guarded) > 1 else None,
        "drift": guard_drift,
    }


def _recall_figures(case: _Case, rows: Sequence[Row]) -> dict[str, Any]:
    """Before, after, retained, changed and never told."""
    first = case.cycles[0]

    def of(model: str, kind: str = "recall", cycle: int | None = None) -> list[Row]:
        return [
            row
            for row in rows
            if row["model"] == model
            and row["kind"] == kind
            and (row["cycle"] <= first if cycle is None else row["cycle"] == cycle)
        ]

    after = of(f"cycle_{first}")
    latest = of(f"cycle_{case.cycles[1]}", "interference") if len(case.cycles) > 1 else []
    return {
        "recall_before": share(of("base")),
        "recall_after": share(after),
        "recall_after_ci95": interval(
            [row["right"] for row in after], case.config.evaluation.resamples, case.config.seed
        ),
        "facts": len(after),
        "by_kind": present({kind: share(of(f"cycle_{first}", kind)) for kind in ("gap", "surprising", "patterned")}),
        "retention": {str(passed): share(of(f"cycle_{cycle}")) for passed, cycle in enumerate(case.cycles) if passed},
        "own_recall": {str(cycle): share(of(f"cycle_{cycle}", cycle=cycle)) for cycle in case.cycles},
        "interference": present({"latest": share(latest), "intrusions": share(latest, "intruded")}),
        "unseen": unseen_figures([row for row in rows if row["model"] == f"cycle_{first}"]),
    }


def _efficiency(case: _Case, base: SleepWakeModel, slept: SleepWakeModel) -> dict[str, float]:
    """Of what the first sleep selected: answered before, after, and newly."""
    selected = awake(case.run, case.config, case.inputs, case.device).store.selected()
    if not selected:
        return {"consolidated": 0.0, "selected": 0.0, "importance": 0.0}
    asked = [slot.context for slot in selected], [slot.target for slot in selected]
    before, after = (np.array(recalled(model, *asked)) for model in (base, slept))
    newly = after & ~before
    importances = np.array([slot.importance for slot in selected])
    return {
        "consolidated": float(newly.mean()),
        "selected": float(len(selected)),
        "importance": float(importances[newly].mean()) if newly.any() else 0.0,
    }


def _gaps(case: _Case, base: SleepWakeModel, rows: Sequence[Row]) -> dict[str, Any]:
    """Recall after sessions of text: through the memory without a sleep, and from the weights after one."""
    first = case.cycles[0]
    streams = case.streams[first]
    facts = gap_facts(case.days, streams)
    without = gap_rights(base, streams, facts, case.corpus.test, case.config)
    told = {row["key"]: row["right"] for row in rows if row["model"] == f"cycle_{first}"}
    slept = [told[fact.key] for fact in facts]
    found: dict[str, Any] = {}
    for gap, rights in without.items():
        difference = np.array(slept, float) - np.array(rights, float)
        found[str(gap)] = {
            "with_sleep": float(np.mean(slept)),
            "without": float(np.mean(rights)),
            "gain": float(difference.mean()),
            "interval": interval(difference.tolist(), case.config.evaluation.resamples, case.config.seed),
        }
    return found


def _controls(stage: Stage, case: _Case, progress: Progress) -> dict[str, Any]:
    steps = int(case.inputs["sleep"].metrics["steps"])
    names, found = controls_of(case.config), dict[str, Any]()
    progress.phase("controls", control_steps(case.config, steps) or None)

    def life(config: SleepWakeConfig) -> Life:
        return awake(case.run, config, case.inputs, case.device)

    examined = Examined(case.config, life, case.corpus, case.days, case.streams, steps, progress.advance)
    for name in names:
        progress.note(name)
        path = stage.folder / f"control_{name}.json"
        if not path.is_file():
            write_json(path, CONTROLS[name](examined))
        found[name] = read_json(path)
        stage.add(path)
    return found


def _parts(stage: Stage, case: _Case, progress: Progress) -> dict[str, Any]:
    """Figures of every component that is asked for."""
    config, found = case.config, dict[str, Any]()
    codebook = case.inputs["pretrain_codebook"].path / CODEBOOK
    given = PartInput(config.parts, case.corpus, config.seed, case.device, progress, codebook)
    for name in config.parts.measured:
        progress.phase(name)
        path = stage.folder / f"part_{name}.json"
        if not path.is_file():
            write_json(path, PARTS[name](given))
        found[name] = read_json(path)
        stage.add(path)
    return found
