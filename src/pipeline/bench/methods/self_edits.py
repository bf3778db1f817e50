"""Self-edits in the manner of SEAL (Zweiger et al. 2025, arXiv:2506.10943), without its outer loop of reinforcement.

The base writes implications of every fact, and is trained on the fact and on what it wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.bench.methods.peft_default import adapt
from pipeline.bench.methods.registry import Learned, Task, register_method
from pipeline.bench.methods.supervision import learn_adapter, running_text
from pipeline.suites.types import Fact, Question

if TYPE_CHECKING:
    from pipeline.language.models import LanguageModel

PROMPT = (
    "Let's read the following passage and produce a list of implications derived directly or indirectly from the "
    "content.\n\nPassage:\n{text}\n\nImplications:"
)
TARGETS = ("gate_proj", "up_proj", "down_proj")  # SEAL adapts the MLP


@register_method("self_edits", "facts and the implications that the base writes of them, in LoRA of the MLPs (SEAL)")
def self_edits(task: Task) -> Learned:
    """Each list is drawn at temperature 1 and stands after its fact, as SEAL trains it; the fact stands alone too."""
    from pipeline.language.models import load_model

    lm, config = load_model(task.config.model), task.config
    texts, written = edited(task, lm)
    adapted = adapt(lm, config.seed, r=config.lora.rank, lora_alpha=config.lora.alpha, target_modules=list(TARGETS))
    return learn_adapter(task, lm, adapted, running_text(lm, texts), written)


def edited(task: Task, lm: LanguageModel) -> tuple[list[str], int]:
    """What is trained on, and the tokens that the base wrote for it."""
    from pipeline.language.generation import generate
    from pipeline.language.prompts import closed_book_prompt

    facts = [fact for fact in task.facts for _ in range(task.config.edits)]
    prompts = [closed_book_prompt(lm.tokenizer, _asked(fact)) for fact in facts]
    task.progress.phase("writing implications", len(prompts))
    made = generate(
        lm,
        prompts,
        max_new_tokens=task.config.edit_tokens,
        temperature=1.0,
        seed=task.config.seed,
        progress=task.progress.advance,
    )
    texts = [fact.text for fact in task.facts]
    texts += [f"{fact.text}\n{reply.text}" for fact, reply in zip(facts, made, strict=True) if reply.text]
    return texts, sum(reply.new_tokens for reply in made)


def _asked(fact: Fact) -> Question:
    return Question(fact.id, fact.relation, "self-edit", "train", PROMPT.format(text=fact.text), "")
