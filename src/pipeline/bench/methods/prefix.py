"""A trained key–value prefix: PEFT's prefix tuning (Li and Liang 2021), of which Cartridges are a long form.

The prefix cannot be merged into weights, so it is examined through transformers instead of the packed decoder.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
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

    config, lm = task.config, load_for_evaluation(task.config.model)
    torch.manual_seed(config.seed)
    virtual = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=config.prefix_tokens)
    with quiet():
        adapted = get_peft_model(lm.model, virtual)
    adapted.prompt_encoder.to(lm.device)
    tokens = train(task, lm, adapted, questions_of(task, lm))
    folder, trained = task.folder / "prefix", parameters(adapted)
    adapted.save_pretrained(str(folder))

    def entrant(base: LanguageModel) -> Prefixed:
        from peft import PeftModel

        with quiet():
            model = PeftModel.from_pretrained(copy.deepcopy(base.model), str(folder)).to(base.device).eval()
        return Prefixed(base, model.get_base_model(), model.get_prompt, config.prefix_tokens)

    return Learned(entrant, tokens, 0, trained)


@dataclass(frozen=True)
class Prefixed:
    """A model behind a trained prefix; the prompt itself holds the question alone.

    Attributes:
        base: The untouched base.
        model: The model that reads the prefix.
        cache: From a number of rows to a fresh cache that holds the prefix's keys and values for each.
        virtual: Tokens of the prefix.
    """

    base: LanguageModel
    model: Any
    cache: Callable[[int], Any]
    virtual: int
    closed_book: bool = True

    def answer(
        self, questions: Sequence[Question], config: EvaluationConfig, advance: Advance
    ) -> tuple[list[str], list[Generation]]:
        """Greedy replies."""
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
        """Rows are padded on the left; a row that has ended is decoded on with the others, and cut."""
        import torch

        from pipeline.language.generation import Generation

        end: int = self.base.tokenizer.eos_token_id
        width, device = max(map(len, rows)), self.base.device
        ids = torch.full((len(rows), width), self.base.tokenizer.pad_token_id, device=device)
        real = torch.ones((len(rows), self.virtual + width), dtype=torch.long, device=device)
        for i, row in enumerate(rows):
            ids[i, width - len(row) :] = torch.tensor(row, device=device)
            real[i, self.virtual : self.virtual + width - len(row)] = 0
        places = (real.cumsum(1) - 1)[:, self.virtual :]
        cache, chosen = self.cache(len(rows)), torch.zeros((len(rows), 0), dtype=torch.long, device=device)
        with torch.inference_mode():
            while chosen.shape[1] < limit and not bool((chosen == end).any(1).all()):
                out = self.model(
                    input_ids=ids,
                    attention_mask=real,
                    position_ids=places,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
                ids, places = out.logits[:, -1].argmax(-1)[:, None], places[:, -1:] + 1
                real = torch.cat([real, torch.ones_like(ids)], 1)
                chosen = torch.cat([chosen, ids], 1)
        replies = [row[: row.index(end) + 1] if end in row else row for row in chosen.tolist()]
        texts = [self.base.tokenizer.decode(reply, skip_special_tokens=True).strip() for reply in replies]
        return [Generation(t, len(r), r[-1] != end) for t, r in zip(texts, replies, strict=True)]

    def _logits(self, prefixed: bool, rows: Sequence[Sequence[int]], last: Sequence[int]) -> list[Tensor]:
        """Logits of the last so many positions of every row, (positions, vocabulary); padding stands on the right."""
        import torch

        width, device, before = max(map(len, rows)), self.base.device, self.virtual if prefixed else 0
        ids = torch.full((len(rows), width), self.base.tokenizer.pad_token_id, device=device)
        real = torch.ones((len(rows), before + width), dtype=torch.long, device=device)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row, device=device)
            real[i, before + len(row) :] = 0
        places = torch.arange(before, before + width, device=device).expand(len(rows), -1)
        behind = {"past_key_values": self.cache(len(rows))} if prefixed else {}
        model = self.model if prefixed else self.base.model
        logits = model(input_ids=ids, attention_mask=real, position_ids=places, **behind).logits
        return [logits[i, len(row) - n : len(row)].float() for i, (row, n) in enumerate(zip(rows, last, strict=True))]

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
                both = [self._logits(prefixed, texts, counts) for prefixed in (False, True)]
                for row, (_, target), *logits in zip(rows[start : start + DRIFT_ROWS], part, *both, strict=True):
                    p, q = (torch.log_softmax(one, dim=-1) for one in logits)
                    at = torch.tensor(target, device=base.device)[:, None]
                    kl, own, other = (p.exp() * (p - q)).sum(1), p.gather(1, at)[:, 0], q.gather(1, at)[:, 0]
                    found.append(TokenDrift(row.form, *(x.cpu().numpy() for x in (kl, own, other))))
                advance(len(part))
        return found
