"""A night without a language model: scripted stand-ins for the three stages that need one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.artifacts import RunFolder, StageResult, write_bytes, write_json
from pipeline.config import ConsolidationConfig
from pipeline.evaluation.answers import SCHEMA_NAME, score_answers
from pipeline.evaluation.arms import Ask
from pipeline.evaluation.forgetting import begun, forget_asks, forget_figures
from pipeline.evaluation.metrics import summarise
from pipeline.evaluation.prompts import render
from pipeline.progress import Progress
from pipeline.stages.earlier import neighbours_of
from pipeline.stages.feedback import write_feedback
from pipeline.stages.order import STEPS_SCHEMA
from pipeline.stages.pending import forgotten_of_night
from pipeline.stages.registry import opened
from pipeline.stages.suite_files import read_suite
from tests.evaluation.examples import Reply, closed_book_prompt, examine, memory_prompt, scripted

DRIFT = {"kl_base": 0.01, "kl_by_domain": {"prose": 0.01}, "ppl_ratio": 1.0, "ppl_by_domain": {}, "tokens": 600}
StageFunction = Callable[[RunFolder, ConsolidationConfig, dict[str, StageResult], Progress], StageResult]


def surprise(texts: Sequence[str]) -> NDArray[np.float64]:
    """Every event is as surprising as a new one."""
    return np.full(len(texts), 5.0)


def sleep_distil(
    run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress
) -> StageResult:
    with opened(run, config, "sleep_distil", inputs) as stage:
        if stage.hit:
            return stage.result
        progress.phase("targets", 2)
        progress.advance(2)
        stage.write_table("targets", pa.table({"id": ["a"]}), "targets/1")
        stage.metrics = {"teacher_right": 1.0}
    return stage.result


def lora_train(
    run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress
) -> StageResult:
    with opened(run, config, "lora_train", inputs) as stage:
        if stage.hit:
            return stage.result
        adapter = stage.folder / "adapter"
        write_bytes(adapter / "adapter_model.safetensors", b"not read by these tests")
        write_json(adapter / "adapter_config.json", {"r": config.lora.rank})
        stage.add(adapter)
        stage.write_table("steps", pa.table({"step": [0, 1], "loss": [3.0, 0.5]}), STEPS_SCHEMA)
        trained = {"steps": 2, "examples": 16, "tokens": 320, "loss_first": 3.0, "loss_last": 0.5, "b_norm": 1.5}
        stage.metrics = trained | {"device": "a scripted machine"}
    return stage.result


def evaluate_with(answer: Callable[[Ask], Reply]) -> StageFunction:
    """A stage ``evaluate`` in which ``answer`` speaks for the model."""

    def evaluate(
        run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress
    ) -> StageResult:
        with opened(run, config, "evaluate", inputs) as stage:
            if stage.hit:
                return stage.result
            suite = read_suite(inputs["teach"].path)
            _, _, answers = examine(suite, answer)
            figures = summarise(answers, suite, DRIFT, resamples=50)
            if forgotten := forgotten_of_night(run.root, config, inputs["persist_store"]):
                near = neighbours_of(run, inputs["persist_store"], forgotten)
                backwards = [question for item in forgotten for question in item.reversed]
                asks = forget_asks([item.as_fact() for item in forgotten], backwards, near, True)
                prompts = render(asks, lambda q: begun(closed_book_prompt(q), q), memory_prompt)
                told = score_answers(asks, prompts, [answer(ask) for ask in asks])
                figures["forget"] = forget_figures(told, len(forgotten), {"auroc": 0.5})
            stage.write_table("answers", answers, SCHEMA_NAME)
            stage.write_json("metrics.json", figures)
            usage = {fact.id: 2.0 for fact in suite.taught}
            write_feedback(stage, usage, {fact.id: True for fact in suite.taught})
            stage.metrics = {"retrieval": {"requests": 40, "hits": 39}}
        return stage.result

    return evaluate


def ignorant(ask: Ask) -> Reply:
    """A night that taught nothing: as `scripted`, but closed book knows nothing afterwards either."""
    return scripted(ask) if ask.memories is not None or ask.arm.startswith("sanity") else Reply("Somewhere.")


def as_module(name: str, function: StageFunction) -> ModuleType:
    """A stage module whose ``run`` is the function."""
    module = ModuleType(f"pipeline.stages.{name}")
    module.run = function  # type: ignore[attr-defined]
    return module
