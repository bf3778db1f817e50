"""Stage ``evaluate``: ask every arm, before and after, with the memory off and on, and measure what else moved.

Writes ``answers`` (schema answers/1: every prompt and answer), ``metrics.json`` and the feedback for the next night;
for a suite with choices also ``preferences`` (schema preferences/1: how likely each of their answers is).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config import ConsolidationConfig
from pipeline.evaluation.answers import SCHEMA_NAME
from pipeline.evaluation.arms import Plan
from pipeline.evaluation.forgetting import forget_asks, forget_figures, without_forgotten
from pipeline.evaluation.guards import guard_figures
from pipeline.evaluation.metrics import probe_outcomes, summarise
from pipeline.evaluation.preferences import PREFERENCES_SCHEMA, long_answer_figures
from pipeline.evaluation.recall import plan_arms, retrieval_usage
from pipeline.evaluation.retention import retention_asks, retention_row, slow_asks, slow_figures
from pipeline.evaluation.sanity import sanity_asks
from pipeline.progress import Progress
from pipeline.sessions.champion import find_slow
from pipeline.stages.earlier import adapter_before, earlier_facts, neighbours_of, over_nights
from pipeline.stages.examination import examine
from pipeline.stages.feedback import write_feedback
from pipeline.stages.memory import open_stores
from pipeline.stages.pending import forgotten_of_night
from pipeline.stages.registry import opened
from pipeline.stages.suite_files import read_suite, with_study
from pipeline.stores.encoder import SentenceEncoder
from pipeline.stores.retriever import StoreRetriever
from pipeline.suites.sanity import load_sanity

if TYPE_CHECKING:
    pass

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
        adapters = {"previous": before, "slow": slow}
        found = examine(stage.folder, config, inputs, asks, suite, facts, episodes, adapters, unlearned, progress)
        forget = forget_figures(found.answers, len(forgotten), found.likely) if forgotten else None
        answers = without_forgotten(found.answers)
        stage.write_table("answers", answers, SCHEMA_NAME)
        notes = [*suite.notes, *plan.notes, *found.notes]
        figures = summarise(answers, suite, found.drift, config.evaluation.bootstrap, config.seed, notes)
        if not config.fresh:
            night = int(inputs["persist_store"].metrics["night"])
            tonight = {fact.id: night for fact in suite.taught}  # one that the gate refused stands in no store
            nights = tonight | {row.episode_id: row.night for row in episodes}
            figures |= over_nights(run, config, retention_row(answers, nights), night)
            figures |= slow_figures(answers, nights, config.lora.slow_decay or 0.0)
        if found.preferences is not None:
            stage.write_table("preferences", found.preferences, PREFERENCES_SCHEMA)
            figures |= long_answer_figures(answers, found.preferences, config.evaluation.bootstrap, config.seed)
        figures |= {name: told for name, told in (("forget", forget), ("recognition", found.recognition)) if told}
        guarded = guard_figures(answers, suite, found.drift, retriever.requests, 1, forget)
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
