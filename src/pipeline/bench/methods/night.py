"""Ours: the night, from the day's facts to the adapter, by its own stages."""

from __future__ import annotations

import importlib

from pipeline.artifacts import StageResult, open_run
from pipeline.bench.methods.registry import Learned, Task, register_method
from pipeline.config import ConsolidationConfig
from pipeline.protocol.entrants import Weights
from pipeline.protocol.frozen import frozen

LAST = "lora_train"


@register_method("ours", "the night: replay, rehearsal, contrast with namesakes, an anchor to the base")
def ours(task: Task) -> Learned:
    """Run the stages ``teach`` to ``lora_train`` on the same facts; general text that it rehearses counts as training.

    What the base replies to the shipped rehearsal prompts is kept from night to night, so it is not counted as written.
    """
    from pipeline.language.adapter import load_adapter
    from pipeline.stages.registry import stages_of

    config, stages = night_config(task), stages_of("consolidation")
    done: dict[str, StageResult] = {}
    with open_run(config) as run:
        for name in stages.names[: stages.names.index(LAST) + 1]:
            task.progress.phase(name)
            done[name] = importlib.import_module(f"{stages.package}.{name}").run(run, config, done, task.progress)
    from safetensors import safe_open

    adapter = done[LAST].path / "adapter"
    with safe_open(adapter / "adapter_model.safetensors", framework="pt") as file:
        shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118  # no mapping
    trained = sum(rows * columns for rows, columns in shapes)
    return Learned(lambda base: Weights(load_adapter(base, adapter)), int(done[LAST].metrics["tokens"]), None, trained)


def night_config(task: Task) -> ConsolidationConfig:
    """The night's default configuration on the suite's facts, in the task's own folder."""
    from pipeline.stages.night import configure

    config, own = configure("consolidation/episodic", ("tracking.enabled=false",), task.folder), task.config
    return config.model_copy(
        update={
            "seed": own.seed,
            "suite": config.suite.model_copy(update={"n": own.facts, "seed": frozen(own.suite).seed}),
            "model": own.model,
            "distil": own.distil,
            "lora": own.lora.model_copy(update={"epochs": task.passes}),
            "encoder": own.encoder,
            "store": own.store,
        }
    )
