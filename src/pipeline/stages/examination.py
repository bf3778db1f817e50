"""Put every ask to its model, and measure what else the night moved: what stage ``evaluate`` needs models for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.artifacts import StageResult
from pipeline.artifacts.footprint import return_freed_memory
from pipeline.config import ConsolidationConfig
from pipeline.evaluation.answers import score_answers
from pipeline.evaluation.arms import Ask, Plan
from pipeline.evaluation.drift import drift
from pipeline.evaluation.forgetting import begun
from pipeline.evaluation.prompts import check_closed_book, render
from pipeline.evaluation.recognition import compared, recognition_figures
from pipeline.evaluation.sanity import second_look
from pipeline.evaluation.self_ask import composed_questions, self_ask
from pipeline.progress import Progress
from pipeline.stages.decoding import decode
from pipeline.stages.lora_train import target_rows, train_adapter
from pipeline.stages.sleep_distil import replayed_fact
from pipeline.stores.episode import Episode
from pipeline.suites.drift_text import DRIFT_DOMAINS, load_drift
from pipeline.suites.rehearsal import load_rehearsal
from pipeline.suites.sanity import SanityQuestion, load_sanity
from pipeline.suites.types import Fact, Question, Suite

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from pipeline.language.generation import Generation
    from pipeline.language.models import LanguageModel


@dataclass(frozen=True)
class Examined:
    """What was answered and measured.

    Attributes:
        answers: Of every model, scored; schema answers/1.
        notes: What a reader must know.
        drift: From the base to the adapted model.
        preferences: How likely the answers of the suite's choices are; None without choices.
        likely: ``auroc`` and ``auroc_prior`` of what was forgotten; empty where nothing was.
        recognition: How far taught answers stand out from untaught ones; None where either side was not asked.
    """

    answers: pa.Table
    notes: list[str]
    drift: dict[str, object]
    preferences: pa.Table | None
    likely: dict[str, float]
    recognition: dict[str, Any] | None


def examine(
    folder: Path,
    config: ConsolidationConfig,
    inputs: Mapping[str, StageResult],
    asks: Sequence[Ask],
    suite: Suite,
    facts: Sequence[Fact],
    episodes: Sequence[Episode],
    adapters: Mapping[str, Path | None],
    forgotten: Sequence[Fact],
    progress: Progress,
) -> Examined:
    """Load every model that an ask needs, and measure.

    Args:
        folder: Of the stage; control adapters are trained below it.
        config: The run's configuration.
        inputs: ``sleep_distil`` and ``lora_train``.
        asks: Everything to ask.
        suite: What was taught.
        facts: Which no closed-book prompt may hold.
        episodes: Of the store, for the controls.
        adapters: Of further models by their names; None where there is none.
        forgotten: What the night had to unlearn.
        progress: Reports parts of the work.
    """
    from pipeline.language.adapter import load_adapter
    from pipeline.language.forgetting import likelihoods
    from pipeline.language.models import load_for_evaluation
    from pipeline.language.sharding import opened_shards, shared

    with opened_shards(config.sharding, folder) as shards:
        progress.phase("loading the model")
        base = shared(load_for_evaluation(config.model), shards)
        post = load_adapter(base, inputs["lora_train"].path / "adapter")
        models = {"base": base, "post": post} | ({"untouched": base} if forgotten else {})
        models |= {name: load_adapter(base, folder) for name, folder in adapters.items() if folder is not None}
        for control in Plan(tuple(asks)).models:
            if control not in models:
                models[control] = load_adapter(
                    base, _control(folder, control, config, inputs, suite, episodes, base, progress)
                )
        answers, notes = _answers(models, asks, load_sanity(), facts, config, progress)
        return Examined(
            answers,
            notes,
            _drift(base, post, models.get("previous"), config, progress),
            _preferences(base, post, suite, progress),
            likelihoods(base, post, forgotten, load_rehearsal().slots, config.seed) if forgotten else {},
            _recognition(base, post, asks, config, progress),
        )


def _answers(
    models: Mapping[str, LanguageModel],
    asks: Sequence[Ask],
    sanity: Sequence[SanityQuestion],
    taught: Sequence[Fact],
    config: ConsolidationConfig,
    progress: Progress,
) -> tuple[pa.Table, list[str]]:
    """The scored answers, also in steps; of a second look at general questions too where promotion is in doubt."""
    prompts, replies = _asked(models, asks, taught, config, progress, "asking every arm")
    steps = self_ask(
        composed_questions(asks), lambda hops: _asked(models, hops, taught, config, progress, "asking in steps"), taught
    )
    asks, prompts, told = [*asks, *steps.asks], [*prompts, *steps.prompts], [*replies, *steps.replies]
    answers = score_answers(asks, prompts, told)
    more = second_look(sanity, answers)
    if not more:
        return answers, []
    again, others = _asked(models, more, taught, config, progress, "a closer look at general questions")
    note = "the sampled sanity questions of the development half left promotion in doubt: all of that half were asked"
    return score_answers([*asks, *more], [*prompts, *again], [*told, *others]), [note]


def _asked(
    models: Mapping[str, LanguageModel],
    asks: Sequence[Ask],
    taught: Sequence[Fact],
    config: ConsolidationConfig,
    progress: Progress,
    what: str,
) -> tuple[list[str], list[Generation]]:
    """Rendered prompts and the models' replies; no closed-book prompt holds its fact or answer."""
    from pipeline.language.prompts import closed_book_prompt, memory_prompt

    tokenizer = models["base"].tokenizer
    prompts = render(asks, lambda question: begun(closed_book_prompt(tokenizer, question), question), memory_prompt)
    blank = closed_book_prompt(tokenizer, Question("", "", "", "test", "", ""))
    check_closed_book(asks, prompts, {fact.id: fact for fact in taught}, boilerplate=blank)
    progress.phase(what, len(asks))
    untold = [memory_prompt(ask.question.question, []) for ask in asks]
    return prompts, decode(models, asks, prompts, untold, config, progress)


def _drift(
    base: LanguageModel,
    post: LanguageModel,
    previous: LanguageModel | None,
    config: ConsolidationConfig,
    progress: Progress,
) -> dict[str, object]:
    """KL and perplexity on text that nobody taught, domain by domain; for a continuing night from its start as well."""
    from pipeline.language.drift import drift_rows, token_drift

    tokens = None if config.evaluation.controls == "full" else config.evaluation.drift_tokens
    rows = [row for domain in DRIFT_DOMAINS for row in drift_rows(base, load_drift(domain), tokens)]
    progress.phase("drift on other text", len(rows) * (1 if previous is None else 2))
    found = drift(token_drift(base, post, rows, progress.advance))
    if previous is not None:
        found["kl_previous"] = drift(token_drift(previous, post, rows, progress.advance))["kl_base"]
    return found


def _recognition(
    base: LanguageModel, post: LanguageModel, asks: Sequence[Ask], config: ConsolidationConfig, progress: Progress
) -> dict[str, Any] | None:
    """How far taught answers stand out from untaught ones, by their likelihood."""
    from pipeline.language.likelihood import answer_log_probs
    from pipeline.language.prompts import closed_book_prompt

    sides = compared(asks)
    progress.phase("how likely answers are", 2 * sum(len(side) for side in sides))

    def of(lm: LanguageModel, questions: Sequence[Question]) -> NDArray[np.float64]:
        prompts = [closed_book_prompt(lm.tokenizer, question) for question in questions]
        return answer_log_probs(lm, prompts, [question.answer for question in questions], progress.advance)

    found = {name: (of(lm, sides[0]), of(lm, sides[1])) for name, lm in (("pre", base), ("post", post))}
    return recognition_figures(found, config.evaluation.bootstrap, config.seed)


def _preferences(base: LanguageModel, post: LanguageModel, suite: Suite, progress: Progress) -> pa.Table | None:
    """How likely the answers of the suite's choices are to both models; None for a suite without any."""
    from pipeline.language.preferences import preference_table

    if not suite.choices:
        return None
    progress.phase("which answers are likelier", 2 * sum(1 + len(choice.wrong) for choice in suite.choices))
    return preference_table(base, post, suite.choices, progress.advance)


def _control(
    folder: Path,
    control: str,
    config: ConsolidationConfig,
    inputs: Mapping[str, StageResult],
    suite: Suite,
    episodes: Sequence[Episode],
    base: LanguageModel,
    progress: Progress,
) -> Path:
    """Train the adapter of a control arm with the night's own recipe; a finished one is kept over a crash."""
    from pipeline.language.targets import control_rows

    place = folder / "controls" / control
    if (place / "adapter" / "adapter_model.safetensors").exists():
        return place / "adapter"
    place.mkdir(parents=True, exist_ok=True)
    rows = target_rows(inputs["sleep_distil"].path / "targets.parquet", place)
    trained = {row.episode_id for row in rows if row.episode_id}
    facts = [replayed_fact(row) for row in episodes if row.episode_id in trained]
    progress.phase(f"control {control}")
    made = control_rows(rows, control, facts, suite.untaught, config.seed, base.tokenizer.eos_token)
    train_adapter(made, config, place, progress)
    return_freed_memory()
    return place / "adapter"
