"""Question-only SFT with what PEFT adapts by default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.bench.methods.registry import Learned, Task, register_method
from pipeline.bench.methods.supervision import learn_adapter, questions_of
from pipeline.bench.programs import quiet

if TYPE_CHECKING:
    from pipeline.language.models import LanguageModel


@register_method("peft_default", "the train questions alone, in PEFT's default LoRA")
def peft_default(task: Task) -> Learned:
    """``LoraConfig()`` as it comes: rank 8, query and value matrices of every layer."""
    from pipeline.language.models import load_model

    lm = load_model(task.config.model)
    return learn_adapter(task, lm, adapt(lm, task.config.seed), questions_of(task, lm))


def adapt(lm: LanguageModel, seed: int, **settings: Any) -> Any:
    """Put PEFT's default adapter into the model, but for some settings."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)  # PEFT initialises A from the global generator
    with quiet():
        return get_peft_model(lm.model, LoraConfig(task_type="CAUSAL_LM", **settings))
