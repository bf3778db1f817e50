"""Passage-only SFT: the facts as running text."""

from __future__ import annotations

from pipeline.bench.methods.registry import Learned, Task, register_method
from pipeline.bench.methods.supervision import learn_adapter, recipe_of, running_text


@register_method("passage_sft", "the facts as running text, in an adapter of the night's form")
def passage_sft(task: Task) -> Learned:
    """Continued pretraining on what happened; no question is seen."""
    from pipeline.language.adapter import attach
    from pipeline.language.models import load_model

    lm = load_model(task.config.model)
    rows = running_text(lm, [fact.text for fact in task.facts])
    return learn_adapter(task, lm, attach(lm, recipe_of(task, len(rows)).lora, task.config.seed), rows)
