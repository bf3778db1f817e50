"""The three programs of ``engram bench sleep``, each given the same model, adapter and rows.

A plain PEFT loop on `transformers.Trainer`, TRL's `SFTTrainer`, and the night's own training. Rows are tokenised before
the peers' clocks start; what the night computes before its first step counts as its own.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.bench.course import Course, Stopwatch, examiner
from pipeline.bench.isolation import Pause

if TYPE_CHECKING:
    from pipeline.config import LoraConfig
    from pipeline.config.benchmarks import SleepBenchConfig
    from pipeline.language.models import LanguageModel
    from pipeline.language.rows import TrainingRow

Tokenised = tuple[list[int], list[int]]
"""Prompt and target; only the target is learned."""


class Recipe(Protocol):
    """What a training of transformers' Trainer reads: section ``lora`` for rate, rows a step, passes and clipping."""

    @property
    def seed(self) -> int: ...
    @property
    def lora(self) -> LoraConfig: ...


Program = Callable[["LanguageModel", "Sequence[TrainingRow]", "SleepBenchConfig", Pause], Course]
"""Trains on rows, calling its last argument whenever another program may go on."""


def night(lm: LanguageModel, rows: Sequence[TrainingRow], config: SleepBenchConfig, pause: Pause) -> Course:
    """The night's own `Trainer` on questions alone: frozen layers once, logits of answers alone, fused LoRA."""
    from pipeline.language.adapter import attach
    from pipeline.language.encoding import encode, run_lower
    from pipeline.language.training import Step, Trainer

    attach(lm, config.lora, config.seed)
    watch = _stopwatch(lm, rows, config, pause)
    start = time.perf_counter()
    encoded = encode(lm, rows, config.lora.first_layer)
    run_lower(lm, encoded)
    trainer = Trainer(lm, encoded, config.lora, config.seed)

    def on_step(step: Step) -> None:
        if watch.step():
            raise _Reached

    watch.begin(time.perf_counter() - start)
    with suppress(_Reached):
        trainer.run(on_step)
    return watch.course()


class _Reached(Exception):
    """Ends a training whose quality is reached."""


def plain_peft(lm: LanguageModel, rows: Sequence[TrainingRow], config: SleepBenchConfig, pause: Pause) -> Course:
    """`transformers.Trainer` with a padding collator and labels on the answer."""
    from pipeline.language.adapter import attach

    adapted, watch = attach(lm, config.lora, config.seed), _stopwatch(lm, rows, config, pause)
    supervised(lm, adapted, tokenise(lm, rows), config, _watched(watch))
    return watch.course()


def supervised(
    lm: LanguageModel, model: Any, rows: Sequence[Tokenised], recipe: Recipe, watched: Any, bf16: bool | None = None
) -> None:
    """Train whatever requires gradients in ``model`` by cross-entropy on the targets.

    Args:
        lm: The base, for its tokenizer and device.
        model: What is trained: the base itself, or PEFT's wrapper of it.
        rows: Prompt and target of every row.
        recipe: Rate, rows a step, passes.
        watched: A callback of transformers.
        bf16: Whether products are computed in bfloat16; None does so where the base's weights are.
    """
    from transformers import DataCollatorForSeq2Seq, PrinterCallback, Trainer, TrainingArguments

    data = [
        {"input_ids": prompt + target, "attention_mask": [1] * len(prompt + target),
         "labels": [-100] * len(prompt) + target}
        for prompt, target in rows
    ]  # fmt: skip
    arguments = _arguments(lm, len(rows), recipe) | ({} if bf16 is None else {"bf16": bf16})
    with tempfile.TemporaryDirectory() as folder, quiet():
        trainer = Trainer(
            model,
            TrainingArguments(folder, **arguments),
            data_collator=DataCollatorForSeq2Seq(lm.tokenizer, padding=True),
            train_dataset=data,
            optimizers=optimiser_of(model, len(rows), recipe),
            callbacks=[watched],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def sft_trainer(lm: LanguageModel, rows: Sequence[TrainingRow], config: SleepBenchConfig, pause: Pause) -> Course:
    """TRL's `SFTTrainer` on prompts and completions, with its defaults but for what is equal for all."""
    from datasets import Dataset, disable_progress_bars
    from transformers import PrinterCallback

    from pipeline.language.adapter import attach

    with quiet():
        from trl import SFTConfig, SFTTrainer

        adapted, watch = attach(lm, config.lora, config.seed), _stopwatch(lm, rows, config, pause)
        disable_progress_bars()
        data = Dataset.from_list(
            [
                {"input_ids": prompt + target, "completion_mask": [0] * len(prompt) + [1] * len(target)}
                for prompt, target in tokenise(lm, rows)
            ]
        )
        with tempfile.TemporaryDirectory() as folder:
            arguments = SFTConfig(
                folder, completion_only_loss=True, gradient_checkpointing=False, **_arguments(lm, len(rows), config)
            )
            trainer = SFTTrainer(
                adapted,
                arguments,
                train_dataset=data,
                processing_class=lm.tokenizer,
                optimizers=optimiser_of(adapted, len(rows), config),
                callbacks=[_watched(watch)],
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()
    return watch.course()


def _stopwatch(lm: LanguageModel, rows: Sequence[TrainingRow], config: SleepBenchConfig, pause: Pause) -> Stopwatch:
    return Stopwatch(examiner(lm, rows, config), config.evaluate_every, config.quality, lm.device, pause)


def tokenise(lm: LanguageModel, rows: Sequence[TrainingRow]) -> list[Tokenised]:
    """Prompt and target of every row, tokenised apart as the night does."""
    tokenised = [
        tuple(lm.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (row.prompt, row.target))
        for row in rows
    ]
    return [(prompt, target) for prompt, target in tokenised]


def _arguments(lm: LanguageModel, rows: int, config: Recipe) -> dict[str, Any]:
    """The night's settings in the words of transformers."""
    import torch

    return {
        "per_device_train_batch_size": config.lora.rows_per_step(rows),
        "num_train_epochs": config.lora.epochs,
        "learning_rate": config.lora.learning_rate,
        "max_grad_norm": config.lora.clip,
        "bf16": lm.dtype == torch.bfloat16,
        "use_cpu": lm.device.type == "cpu",
        "dataloader_pin_memory": lm.device.type == "cuda",
        "seed": config.seed,
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def optimiser_of(model: Any, rows: int, config: Recipe) -> tuple[Any, Any]:
    """The night's optimiser and schedule; transformers' own schedules begin with a step at rate 0."""
    import torch

    from pipeline.language.adapter import trainable
    from pipeline.language.curriculum import schedule

    lora = config.lora
    steps = -(-rows // lora.rows_per_step(rows)) * lora.epochs
    optimiser = torch.optim.AdamW(
        trainable(model).values(), lora.learning_rate, (0.9, 0.99), weight_decay=0.0, fused=True
    )
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: schedule(min(step, steps - 1), steps, lora) / lora.learning_rate
    )
    return optimiser, rate


def _watched(watch: Stopwatch) -> Any:
    """A callback of transformers that tells the stopwatch of every step."""
    from transformers import TrainerCallback

    class Watched(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            watch.begin()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            control.should_training_stop = watch.step()
            return control

    return Watched()


@contextmanager
def quiet() -> Iterator[None]:
    """Without the peers' warnings about each other's deprecated names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


PROGRAMS: dict[str, Program] = {
    "ours": night,
    "transformers + PEFT": plain_peft,
    "TRL SFTTrainer": sft_trainer,
}
