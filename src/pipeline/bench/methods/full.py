"""Question-only fine-tuning of all weights."""

from __future__ import annotations

from dataclasses import replace

from pipeline.bench.methods.registry import Learned, Task, register_method
from pipeline.bench.methods.supervision import parameters, questions_of, train
from pipeline.protocol.entrants import Weights


@register_method("full", "the train questions alone, in all weights")
def full(task: Task) -> Learned:
    """Weights and optimiser in float32; products in bfloat16 where the base would be loaded so."""
    import torch

    from pipeline.language.models import load_for_evaluation, resolve_dtype

    lm = load_for_evaluation(task.config.model)
    fast = resolve_dtype(task.config.model.dtype, lm.device) == torch.bfloat16
    lm.model.requires_grad_(True)
    trained = parameters(lm.model)
    tokens = train(task, lm, lm.model, questions_of(task, lm), bf16=fast)
    lm.model.requires_grad_(False)
    lm.model.eval()
    return Learned(lambda base: Weights(replace(base, model=lm.model)), tokens, 0, trained)
