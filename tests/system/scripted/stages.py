"""Scripted stages of the GPU: an adapter is a list of the facts that it knows, and it forgets by a fixed rule.

So the retention matrix of any number of nights is known beforehand, see `expected_retention`, whatever was killed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.artifacts import RunFolder, StageResult, write_bytes, write_json
from pipeline.config import ConsolidationConfig
from pipeline.evaluation.answers import SCHEMA_NAME, score_answers
from pipeline.evaluation.arms import Ask
from pipeline.evaluation.metrics import summarise
from pipeline.evaluation.prompts import render
from pipeline.evaluation.retention import retention_asks, retention_row
from pipeline.progress import Progress
from pipeline.sessions.champion import WEIGHTS, find_champion
from pipeline.stages.earlier import adapter_before, earlier_facts, over_nights
from pipeline.stages.feedback import write_feedback
from pipeline.stages.memory import references_of
from pipeline.stages.order import STEPS_SCHEMA
from pipeline.stages.registry import opened
from pipeline.stages.suite_files import read_suite
from pipeline.stores.episode import EPISODE_SCHEMA
from tests.evaluation.examples import Reply, closed_book_prompt, examine, memory_prompt, scripted
from tests.stages.examples import DRIFT
from tests.stages.examples import sleep_distil as sleep_distil

FORGOTTEN = 0.04  # share of the known facts that a night loses


def forgets(fact: str, night: int) -> bool:
    """Whether a fact that was known before is lost in that night."""
    drawn = hashlib.sha256(f"{fact}/{night}".encode()).digest()[:8]
    return int.from_bytes(drawn, "big") / 2**64 < FORGOTTEN


def known_after(before: Sequence[str], taught: Sequence[str], night: int) -> list[str]:
    """Ids of the facts that an adapter knows after a night."""
    return sorted({fact for fact in before if not forgets(fact, night)} | set(taught))


def expected_retention(days: Mapping[int, Sequence[str]]) -> dict[str, dict[str, float]]:
    """R[i, j] after every night, from the facts of each alone."""
    matrix: dict[str, dict[str, float]] = {}
    known: list[str] = []
    for night, taught in days.items():
        known = known_after(known, taught, night)
        kept = {j: sum(fact in known for fact in facts) / len(facts) for j, facts in days.items() if j <= night}
        matrix[str(night)] = {str(j - 1): share for j, share in kept.items()}  # taught by day, after night j - 1
    return matrix


def _episodes(run: RunFolder, reference: object) -> list[dict[str, object]]:
    generation = reference.store(run).generation(reference.generation)  # type: ignore[attr-defined]
    rows: list[dict[str, object]] = generation.table("episodes", EPISODE_SCHEMA).to_pylist()
    return rows


def lora_train(
    run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress
) -> StageResult:
    """Go on from the champion's list."""
    with opened(run, config, "lora_train", inputs) as stage:
        if stage.hit:
            return stage.result
        champion = None if config.fresh else find_champion(config.root, config.model, config.tracking)
        before = _knows(champion.adapter) if champion else []
        night = int(inputs["persist_store"].metrics["night"])
        adapter = stage.folder / "adapter"
        episodes = [row for reference in references_of(inputs["persist_store"]) for row in _episodes(run, reference)]
        new = [str(row["episode_id"]) for row in episodes if row["night"] == night - 1]
        write_bytes(adapter / WEIGHTS, json.dumps(known_after(before, new, night)).encode())
        write_json(adapter / "adapter_config.json", {"r": config.lora.rank})
        stage.add(adapter)
        stage.write_table("steps", pa.table({"step": [0, 1], "loss": [3.0, 0.5]}), STEPS_SCHEMA)
        start = champion.adapter.relative_to(config.root).as_posix() if champion else None
        trained = {"steps": 2, "examples": 16, "tokens": 320, "loss_first": 3.0, "loss_last": 0.5, "b_norm": 1.5}
        stage.metrics = trained | {"device": "a scripted machine", "start": start}
    return stage.result


def _knows(adapter: Path) -> list[str]:
    found: list[str] = json.loads((adapter / WEIGHTS).read_bytes())
    return found


def evaluate(
    run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress
) -> StageResult:
    """Ask the list about tonight's facts and about those of every earlier night."""
    with opened(run, config, "evaluate", inputs) as stage:
        if stage.hit:
            return stage.result
        suite = read_suite(inputs["teach"].path)
        knows = set(_knows(inputs["lora_train"].path / "adapter"))
        plan, _, _ = examine(suite)
        episodes = [row for reference in references_of(inputs["persist_store"]) for row in _episodes(run, reference)]
        tonight = [fact.id for fact in suite.taught]
        before = adapter_before(run, inputs["lora_train"])
        earlier = earlier_facts(run, inputs["persist_store"], [_Row(row) for row in episodes], tonight)
        asks = [*plan.asks, *retention_asks(earlier, 2, before is not None)]
        knew = set(_knows(before)) if before else set()

        def answer(ask: Ask) -> Reply:
            if ask.arm in ("earlier_heldout", "earlier_probe"):
                return Reply(ask.question.answer if ask.question.item_id in knows else "I don't know.")
            if ask.arm == "earlier_probe_before":
                return Reply(ask.question.answer if ask.question.item_id in knew else "I don't know.")
            return scripted(ask)

        prompts = render(asks, closed_book_prompt, memory_prompt)
        answers = score_answers(asks, prompts, [answer(ask) for ask in asks])
        figures = summarise(answers, suite, DRIFT, resamples=50)
        if not config.fresh:
            night = int(inputs["persist_store"].metrics["night"])
            nights = dict.fromkeys(tonight, night) | {row["episode_id"]: row["night"] for row in episodes}
            figures |= over_nights(run, config, retention_row(answers, nights), night)  # type: ignore[arg-type]
        stage.write_table("answers", answers, SCHEMA_NAME)
        stage.write_json("metrics.json", figures)
        write_feedback(stage, dict.fromkeys(tonight, 2.0), dict.fromkeys(tonight, True))
        stage.metrics = {"retrieval": {"requests": 40, "hits": 39}}
    return stage.result


class _Row:
    """An episode as `earlier_facts` looks at it."""

    def __init__(self, row: Mapping[str, object]) -> None:
        self.__dict__.update(row)
