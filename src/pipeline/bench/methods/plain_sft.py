"""Question-only SFT in the night's own adapter."""

from __future__ import annotations

from pipeline.bench.methods.registry import Learned, Task, register_method
from pipeline.bench.methods.supervision import learn_adapter, questions_of, recipe_of


@register_method("plain_sft", "the train questions alone, in an adapter of the night's form")
def plain_sft(task: Task) -> Learned:
    """A plain PEFT loop: cross-entropy on the answers."""
    from pipeline.language.adapter import attach
    from pipeline.language.models import load_model

    lm = load_model(task.config.model)
    rows = questions_of(task, lm)
    return learn_adapter(task, lm, attach(lm, recipe_of(task, len(rows)).lora, task.config.seed), rows)
