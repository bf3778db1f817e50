"""Stage ``evaluate``: ask every arm, before and after, with the memory off and on, and measure what else moved.

Writes ``answers`` (schema answers/1: every prompt and answer), ``metrics.json`` and the feedback for the next night;
for a suite with choices also ``preferences`` (schema preferences/1: how likely each of their answers is).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.artifacts import RunFolder, StageResult
from pipeline.artifacts.footprint import return_freed_memory
from pipeline.config import ConsolidationConfig
from pipeline.evaluation.answers import SCHEMA_NAME, score_answers
from pipeline.evaluation.arms import Ask, Plan
from pipeline.evaluation.drift import drift
from pipeline.evaluation.forgetting import begun, forget_asks, forget_figures, without_forgotten
from pipeline.evaluation.guards import guard_figures
from pipeline.evaluation.metrics import probe_outcomes, summarise
from pipeline.evaluation.preferences import PREFERENCES_SCHEMA, long_answer_figures
from pipeline.evaluation.prompts import check_closed_book, render
from pipeline.evaluation.recall import plan_arms, retrieval_usage
from pipeline.evaluation.retention import retention_asks, retention_row, slow_asks, slow_figures
from pipeline.evaluation.sanity import sanity_asks, second_look
from pipeline.progress import Progress
from pipeline.sessions.champion import find_slow
from pipeline.stages.decoding import decode
from pipeline.stages.earlier import adapter_before, earlier_facts, neighbours_of, over_nights
from pipeline.stages.feedback import write_feedback
from pipeline.stages.lora_train import target_rows, train_adapter
from pipeline.stages.memory import open_stores
from pipeline.stages.pending import forgotten_of_night
from pipeline.stages.registry import opened
from pipeline.stages.sleep_distil import replayed_fact
from pipeline.stages.suite_files import read_suite, with_study
from pipeline.stores.encoder import SentenceEncoder
from pipeline.stores.episode import Episode
from pipeline.stores.retriever import StoreRetriever
from pipeline.suites.drift_text import DRIFT_DOMAINS, load_drift
from pipeline.suites.rehearsal import load_rehearsal
from pipeline.suites.sanity import SanityQuestion, load_sanity
from pipeline.suites.types import Fact, Question, Suite

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.language.generation import Generation
    from pipeline.language.models import LanguageModel

FORMAT_ONLY = "format_only"
PASSED = 0.5  # share of right probe answers from which a fact counts as known


def run(run: RunFolder, config: ConsolidationConfig, inputs: dict[str, StageResult], progress: Progress) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: ``teach``, ``persist_store``, ``sleep_distil`` and ``lora_train``.
        progress: Reports parts of the work.

    Raises:
        DataError: A memory-OFF prompt holds its answer or its fact.
        ModelError: The language model is absent.
    """
    from pipeline.language.prompts import context_window

    with opened(run, config, "evaluate", inputs) as stage:
        if stage.hit:
            return stage.result
        suite = read_suite(inputs["teach"].path)
        studied = with_study(suite, inputs["sleep_distil"].path)
        suite = replace(suite, statistics=studied.statistics)
        encoder = SentenceEncoder(config.encoder)
        stores = open_stores(run, inputs["persist_store"], config.store, encoder)
        retriever = StoreRetriever(stores, encoder)
        full = config.evaluation.controls == "full"
        settings = config.evaluation
        plan = plan_arms(
            studied,
            retriever,
            controls=settings.controls,
            secondary_n=settings.secondary_n,
            uses_n=settings.uses_n,
            window=context_window(config.model, settings.context_tokens, settings.max_new_tokens) if full else None,
        )
        plan = trainable_controls(plan, inputs["sleep_distil"].metrics["kinds"])
        asks = [*plan.asks, *sanity_asks(load_sanity(), None if full else config.evaluation.sanity_n)]
        episodes = [row for store in stores for row in store.episodes.rows]
        before = adapter_before(run, inputs["lora_train"])
        earlier = earlier_facts(run, inputs["persist_store"], episodes, [fact.id for fact in suite.taught])
        asks += retention_asks(earlier, config.evaluation.retention_forms, before is not None)
        slow = find_slow(inputs["lora_train"].path / "adapter") if config.evaluation.score_slow else None
        asks += slow_asks(asks) if slow else []
        forgotten = forgotten_of_night(run.root, config, inputs["persist_store"])
        unlearned = [item.as_fact() for item in forgotten]
        near = neighbours_of(run, inputs["persist_store"], forgotten)
        asks += forget_asks(unlearned, [q for item in forgotten for q in item.reversed], near, before is not None)
        facts = [*suite.taught, *near, *(fact for taught in earlier.values() for fact in taught)]
        answers, drifted, notes, preferences, likely = _examine(
            stage.folder,
            config,
            inputs,
            asks,
            suite,
            facts,
            episodes,
            {"previous": before, "slow": slow},
            unlearned,
            progress,
        )
        forget = forget_figures(answers, len(forgotten), likely) if forgotten else None
        answers = without_forgotten(answers)
        stage.write_table("answers", answers, SCHEMA_NAME)
        notes = [*suite.notes, *plan.notes, *notes]
        figures = summarise(answers, suite, drifted, config.evaluation.bootstrap, config.seed, notes)
        if not config.fresh:
            night = int(inputs["persist_store"].metrics["night"])
            tonight = {fact.id: night for fact in suite.taught}  # one that the gate refused stands in no store
            nights = tonight | {row.episode_id: row.night for row in episodes}
            figures |= over_nights(run, config, retention_row(answers, nights), night)
            figures |= slow_figures(answers, nights, config.lora.slow_decay or 0.0)
        if preferences is not None:
            stage.write_table("preferences", preferences, PREFERENCES_SCHEMA)
            figures |= long_answer_figures(answers, preferences, config.evaluation.bootstrap, config.seed)
        figures |= {} if forget is None else {"forget": forget}
        guarded = guard_figures(answers, suite, drifted, retriever.requests, 1, forget)
        stage.write_json("metrics.json", figures | {"guards": guarded.to_dict()})
        known = {name: share > PASSED for name, share in probe_outcomes(answers).items()}
        write_feedback(stage, retrieval_usage(plan.asks), known)
        stage.metrics = {
            "retrieval": {"requests": retriever.requests, "hits": retriever.hits},
            "asks": answers.num_rows,
            "post_off_heldout": figures["arms"]["post_off_heldout"]["em"],
        }
    return stage.result


def trainable_controls(plan: Plan, kinds: Mapping[str, int]) -> Plan:
    """The plan without ``format_only`` where the night has no namesakes to train it on.

    Args:
        plan: Every ask.
        kinds: Training rows by kind.
    """
    kept = tuple(ask for ask in plan.asks if ask.arm != FORMAT_ONLY)
    if kinds.get("namesake") or len(kept) == len(plan.asks):
        return plan
    note = f"{FORMAT_ONLY} is left out: no question is about a namesake, of whom it would be trained."
    return Plan(kept, (*plan.notes, note))


def _examine(
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
) -> tuple[pa.Table, dict[str, object], list[str], pa.Table | None, dict[str, float]]:
    """Answers of every model, drift from base to adapted model, notes, likelihoods of choices and of the forgotten."""
    from pipeline.language.adapter import load_adapter
    from pipeline.language.forgetting import likelihoods
    from pipeline.language.models import load_for_evaluation

    progress.phase("loading the model")
    base = load_for_evaluation(config.model)
    post = load_adapter(base, inputs["lora_train"].path / "adapter")
    models = {"base": base, "post": post} | ({"untouched": base} if forgotten else {})
    models |= {name: load_adapter(base, folder) for name, folder in adapters.items() if folder is not None}
    for control in Plan(tuple(asks)).models:
        if control not in models:
            models[control] = load_adapter(
                base, _control(folder, control, config, inputs, suite, episodes, base, progress)
            )
    answers, notes = _answers(models, asks, load_sanity(), facts, config, progress)
    drifted = _drift(base, post, models.get("previous"), config, progress)
    likely = likelihoods(base, post, forgotten, load_rehearsal().slots, config.seed) if forgotten else {}
    return answers, drifted, notes, _preferences(base, post, suite, progress), likely


def _answers(
    models: Mapping[str, LanguageModel],
    asks: Sequence[Ask],
    sanity: Sequence[SanityQuestion],
    taught: Sequence[Fact],
    config: ConsolidationConfig,
    progress: Progress,
) -> tuple[pa.Table, list[str]]:
    """The scored answers, of a second look at general questions too where the first leaves promotion in doubt."""
    prompts, replies = _asked(models, asks, taught, config, progress, "asking every arm")
    answers = score_answers(asks, prompts, replies)
    more = second_look(sanity, answers)
    if not more:
        return answers, []
    again, others = _asked(models, more, taught, config, progress, "a closer look at general questions")
    note = "the sampled sanity questions of the development half left promotion in doubt: all of that half were asked"
    return score_answers([*asks, *more], [*prompts, *again], [*replies, *others]), [note]


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
