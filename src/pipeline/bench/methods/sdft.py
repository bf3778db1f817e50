"""On-policy self-distillation (SDFT; Shenfeld et al. 2026), with the divergence of TRL's GKD trainer.

TRL 0.25 has no SDFT trainer, and its GKD trainer shows teacher and student the same prompt. So the loop is written out:
the student answers closed book, in its own words; the frozen base, which sees fact and answer, says how likely each
word of that reply should have been; the student follows by KL(student || teacher).
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.bench.methods.registry import Learned, Task, register_method
from pipeline.bench.methods.supervision import parameters, recipe_of
from pipeline.protocol.entrants import Weights
from pipeline.suites.types import Question

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.language.models import LanguageModel

TEACHER = (
    "{text}\n\n{question}\n\nThis is an example for a response to the question:\n{answer}\n\n"
    "Now answer with a response of your own."
)
REVERSE = 1.0  # beta of the generalised divergence: KL(student || teacher)


@register_method("sdft", "the student's own replies, judged by the base that sees fact and answer (SDFT)")
def sdft(task: Task) -> Learned:
    """Draws one reply a question and pass, into an adapter of the night's form."""
    import torch

    from pipeline.bench.programs import optimiser_of
    from pipeline.language.adapter import attach, load_adapter, save_adapter, trainable
    from pipeline.language.generation import generate
    from pipeline.language.models import load_model
    from pipeline.language.prompts import closed_book_prompt

    lm, config = load_model(task.config.model), task.config
    asked = [(fact, question) for fact in task.facts for question in fact.asked("train")]
    recipe = recipe_of(task, len(asked))
    adapted = attach(lm, recipe.lora, config.seed)
    optimiser, rate = optimiser_of(adapted, len(asked), recipe)
    size, draw, tokens, written = recipe.lora.rows_per_step(len(asked)), random.Random(config.seed), 0, 0
    task.progress.phase("training", -(-len(asked) // size) * task.passes)
    for epoch in range(task.passes):
        draw.shuffle(asked)
        for first in range(0, len(asked), size):
            part = asked[first : first + size]
            student = [closed_book_prompt(lm.tokenizer, question) for _, question in part]
            teacher = [closed_book_prompt(lm.tokenizer, shown(fact.text, question)) for fact, question in part]
            seed = draw.randrange(2**31)
            replies = generate(lm, student, max_new_tokens=config.reply_tokens, temperature=1.0, seed=seed)
            ends = ["" if reply.overlong else lm.tokenizer.eos_token for reply in replies]
            targets = [_ids(lm, reply.text + end) for reply, end in zip(replies, ends, strict=True)]
            loss, seen = divergence(lm, adapted, student, teacher, targets)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(trainable(adapted).values(), recipe.lora.clip)
            optimiser.step()
            optimiser.zero_grad()
            rate.step()
            tokens, written = tokens + seen, written + sum(reply.new_tokens for reply in replies)
            task.progress.advance()
            task.progress.note(f"pass {epoch + 1}, divergence {float(loss.detach()):.2f}")
    folder = task.folder / "adapter"
    save_adapter(adapted, folder)
    return Learned(lambda base: Weights(load_adapter(base, folder)), tokens, written, parameters(adapted))


def shown(text: str, question: Question) -> Question:
    """What the teacher is asked: the same, with the fact and an example of the answer."""
    told = TEACHER.format(text=text, question=question.question, answer=question.answer)
    return replace(question, question=told)


def divergence(
    lm: LanguageModel, adapted: Any, student: Sequence[str], teacher: Sequence[str], targets: Sequence[list[int]]
) -> tuple[Tensor, int]:
    """KL(student || teacher) per token of the replies, nats, and the tokens that passed with gradients."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from trl import GKDTrainer
        except ImportError:  # later versions
            from trl.experimental.gkd import GKDTrainer

    enabled = lm.dtype == torch.bfloat16
    with torch.autocast(lm.device.type, dtype=torch.bfloat16, enabled=enabled):
        with torch.no_grad(), adapted.disable_adapter():
            wanted, _ = _reply_logits(lm, adapted, teacher, targets)
        own, seen = _reply_logits(lm, adapted, student, targets)
    loss = GKDTrainer.generalized_jsd_loss(own[None], wanted[None], beta=REVERSE, reduction="sum") / max(len(own), 1)
    return loss, seen


def _reply_logits(
    lm: LanguageModel, model: Any, prompts: Sequence[str], targets: Sequence[list[int]]
) -> tuple[Tensor, int]:
    """Logits before every token of the replies, (tokens, vocabulary), row by row; and the tokens computed."""
    import torch

    rows = [(_ids(lm, prompt), target) for prompt, target in zip(prompts, targets, strict=True)]
    width = max(len(prompt) + len(target) for prompt, target in rows)
    ids = torch.full((len(rows), width), lm.tokenizer.pad_token_id)
    real, asked = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    for i, (prompt, target) in enumerate(rows):
        end = len(prompt) + len(target)
        ids[i, :end] = torch.tensor(prompt + target)
        real[i, :end] = 1
        asked[i, len(prompt) - 1 : end - 1] = True
    logits = model(input_ids=ids.to(lm.device), attention_mask=real.to(lm.device)).logits
    return logits[asked.to(lm.device)].float(), int(real.sum())


def _ids(lm: LanguageModel, text: str) -> list[int]:
    tokens: list[int] = lm.tokenizer(text, add_special_tokens=False)["input_ids"]
    return tokens
