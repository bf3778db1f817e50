"""A trained key–value prefix: PEFT's prefix tuning (Li and Liang 2021), of which Cartridges are a long form.

The prefix cannot be merged into weights, so it is examined through transformers instead of the packed decoder.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.bench.methods.registry import Learned, Task, register_method
from pipeline.bench.methods.supervision import parameters, questions_of, train
from pipeline.bench.programs import quiet
from pipeline.config.examination import EvaluationConfig
from pipeline.evaluation.drift import TokenDrift
from pipeline.protocol.entrants import Advance
from pipeline.suites.types import Question

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.language.generation import Generation
    from pipeline.language.models import LanguageModel
    from pipeline.language.rows import TrainingRow

DRIFT_ROWS = 4  # passages together; each token has logits over the whole vocabulary, twice


@register_method("prefix", "the train questions alone, in keys and values before every prompt (PEFT)")
def prefix(task: Task) -> Learned:
    """Weights stay the base's; ``prefix_tokens`` virtual tokens of every layer are trained."""
    import torch
    from peft import PrefixTuningConfig, get_peft_model

    from pipeline.language.models import load_for_evaluation

    lm = load_for_evaluation(task.config.model)
    torch.manual_seed(task.config.seed)
    virtual = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=task.config.prefix_tokens)
    with quiet():
        adapted = get_peft_model(lm.model, virtual)
    adapted.prompt_encoder.to(lm.device)
    tokens = train(task, lm, adapted, questions_of(task, lm))
    folder, trained = task.folder / "prefix", parameters(adapted)
    adapted.save_pretrained(str(folder))

    def entrant(base: LanguageModel) -> Prefixed:
        from peft import PeftModel

        with quiet():
            model = PeftModel.from_pretrained(copy.deepcopy(base.model), str(folder))
        return Prefixed(base, model.to(base.device).eval())

    return Learned(entrant, tokens, 0, trained)


@dataclass(frozen=True)
class Prefixed:
    """The base behind a trained prefix; the prompt itself holds the question alone."""

    base: LanguageModel
    model: Any
    closed_book: bool = True

    def answer(
        self, questions: Sequence[Question], config: EvaluationConfig, advance: Advance
    ) -> tuple[list[str], list[Generation]]:
        """Greedy replies, computed from the whole text at every token."""
        from pipeline.language.prompts import closed_book_prompt

        tokenizer = self.base.tokenizer
        prompts = [closed_book_prompt(tokenizer, question) for question in questions]
        rows = {prompt: tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts}
        order = sorted(rows, key=lambda prompt: len(rows[prompt]))
        made: dict[str, Generation] = {}
        for start in range(0, len(order), config.batch_size):
            part = order[start : start + config.batch_size]
            made |= dict(zip(part, self._greedy([rows[p] for p in part], config.max_new_tokens), strict=True))
            advance(len(part))
        advance(len(prompts) - len(rows))
        return prompts, [made[prompt] for prompt in prompts]

    def _greedy(self, rows: list[list[int]], limit: int) -> list[Generation]:
        import torch

        from pipeline.language.generation import Generation

        end: int = self.base.tokenizer.eos_token_id
        replies: list[list[int]] = [[] for _ in rows]
        going = list(range(len(rows)))
        with torch.inference_mode():
            for _ in range(limit):
                logits = self._logits(self.model, [rows[i] + replies[i] for i in going], 1)
                for i, token in zip(going, torch.stack([part[-1] for part in logits]).argmax(-1).tolist(), strict=True):
                    replies[i].append(token)
                going = [i for i in going if replies[i][-1] != end]
                if not going:
                    break
        text = [self.base.tokenizer.decode(reply, skip_special_tokens=True).strip() for reply in replies]
        return [Generation(t, len(r), r[-1] != end) for t, r in zip(text, replies, strict=True)]

    def _logits(self, model: Any, rows: Sequence[Sequence[int]], last: int | Sequence[int]) -> list[Tensor]:
        """Logits of the last so many positions of every row, (positions, vocabulary); padding stands on the right."""
        import torch

        width, device = max(map(len, rows)), self.base.device
        ids = torch.full((len(rows), width), self.base.tokenizer.pad_token_id, device=device)
        real = torch.zeros((len(rows), width), dtype=torch.long, device=device)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row, device=device)
            real[i, : len(row)] = 1
        counts = [last] * len(rows) if isinstance(last, int) else last
        logits = model(input_ids=ids, attention_mask=real).logits
        return [logits[i, len(row) - n : len(row)].float() for i, (row, n) in enumerate(zip(rows, counts, strict=True))]

    def drift(self, base: LanguageModel, rows: Sequence[TrainingRow], advance: Advance) -> list[TokenDrift]:
        """Exact, over the whole vocabulary, as `pipeline.language.drift.token_drift` measures weights."""
        import torch

        found: list[TokenDrift] = []
        tokens = [
            [base.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (row.prompt, row.target)]
            for row in rows
        ]
        with torch.inference_mode():
            for start in range(0, len(rows), DRIFT_ROWS):
                part = tokens[start : start + DRIFT_ROWS]
                texts, counts = [(p + t)[:-1] for p, t in part], [len(t) for _, t in part]
                both = [self._logits(model, texts, counts) for model in (base.model, self.model)]
                for row, (_, target), *logits in zip(rows[start : start + DRIFT_ROWS], part, *both, strict=True):
                    p, q = (torch.log_softmax(one, dim=-1) for one in logits)
                    at = torch.tensor(target, device=base.device)[:, None]
                    kl, own, other = (p.exp() * (p - q)).sum(1), p.gather(1, at)[:, 0], q.gather(1, at)[:, 0]
                    found.append(TokenDrift(row.form, *(x.cpu().numpy() for x in (kl, own, other))))
                advance(len(part))
        return found
