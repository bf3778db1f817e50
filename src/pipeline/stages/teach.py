"""Stage ``teach``: from the experiences of one wake session to candidate episodes with their gate scores.

Reads the suite, or the facts of the session's stores. Writes ``suite``, ``facts``, ``questions-train``, ``-probe``,
``-test``, ``gate`` (gate/1), and for every kind of store that takes something in its candidates (schema episodes/1, no
test question in them): ``candidates`` for the episodic one, ``candidates-<kind>`` for any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config import ConsolidationConfig, GateConfig, ModelConfig, SuiteConfig
from pipeline.errors import DataError, StoreError
from pipeline.progress import Progress
from pipeline.stages.earlier import nights_of_session
from pipeline.stages.feedback import read_feedback, withdrawn_passes
from pipeline.stages.memory import generations_of, session_facts, session_of, store_before, written_kinds
from pipeline.stages.month import night_of
from pipeline.stages.registry import opened
from pipeline.stages.suite_files import write_suite
from pipeline.stores.encoder import SentenceEncoder
from pipeline.stores.episode import EPISODE_SCHEMA, Episodes, episode_of
from pipeline.stores.episode_table import to_table
from pipeline.stores.episodic import EpisodicStore
from pipeline.stores.gate import (
    GATE_SCHEMA,
    SURPRISE_CONTEXT,
    SURPRISE_PRIOR,
    GateDecision,
    Surprise,
    decisions_table,
)
from pipeline.stores.persistence import KIND
from pipeline.stores.random_gate import at_random
from pipeline.suites.part import stretch
from pipeline.suites.registry import build_suite
from pipeline.suites.types import Fact, Suite

NIGHTLY_SEEDS = 2**32
"""Added to the seed of continuing nights: above every seed that a configuration can name."""


def run(
    run: RunFolder,
    config: ConsolidationConfig,
    inputs: dict[str, StageResult],
    progress: Progress,
    surprise: Surprise | None = None,
) -> StageResult:
    """Run the stage.

    Args:
        run: The run's folder.
        config: The run's configuration.
        inputs: Nothing is read.
        progress: Reports parts of the work.
        surprise: Replaces the language model's; for tests.

    Raises:
        DataError: The suite's data is malformed or ambiguous.
        StoreError: A continuing night has neither a file nor anything in its session's store.
    """
    with opened(run, config, "teach", inputs) as stage:
        if stage.hit:
            return stage.result
        progress.phase("building the suite")
        suite = suite_of_night(run, config)
        encoder = SentenceEncoder(config.encoder)
        judge, decisions = surprise or model_surprise(config.model), []
        facts = facts_by_kind((*suite.taught, *suite.distractors))
        progress.phase("surprise and novelty", sum(map(len, facts.values())))
        write_suite(stage, suite)
        for kind, lived in facts.items():
            store = store_before(run, config, encoder, kind)
            judged, decided = judge_facts(lived, store, encoder, judge, config.gate, f"suite:{suite.name}")
            stage.write_table(candidates_table(kind), to_table(judged), EPISODE_SCHEMA)
            decisions += decided
            progress.advance(len(lived))
        stage.write_table("gate", decisions_table(decisions), GATE_SCHEMA)
        stage.metrics = {"suite": _suite_metrics(suite, decisions), "gates": gate_metrics(decisions)}
    return stage.result


def suite_of_night(run: RunFolder, config: ConsolidationConfig) -> Suite:
    """The configured suite; a continuing night without a file examines what its session's store holds.

    Of that, what no earlier night consolidated is taught tonight; where nothing waits, everything is.
    """
    seed = config.seed if config.suite.seed is None else config.suite.seed
    if config.suite.path is not None or (config.fresh and config.suite.name == "facts"):
        return build_suite(config.suite, seed)
    if config.suite.name != "facts":
        return _generated(config, seed)
    from pipeline.suites.facts import suite_of_facts

    session = session_of(config)
    kinds = written_kinds(run.root, session)
    facts = [fact for kind in kinds for fact in session_facts(generations_of(run, config, kind))]
    if not facts:
        raise StoreError(
            f"the store of session {session!r} is empty, so there is nothing to consolidate; "
            f"teach it first: engram teach FILE --session {session}"
        )
    known = consolidated(run, config)
    return suite_of_facts([fact for fact in facts if fact.id not in known] or facts, seed)


def _generated(config: ConsolidationConfig, seed: int) -> Suite:
    """A generated suite, or a night's stretch of one, whose people no single night of the same seed has met."""
    settings = config.suite if config.nights is None else night_of(config, config.nights.count).suite
    if config.fresh:
        return build_suite(settings, seed) if not settings.skip else _stretch(settings, seed, "")
    return _stretch(settings, seed + NIGHTLY_SEEDS, f"{settings.name}-{seed}-")


def _stretch(settings: SuiteConfig, seed: int, prefix: str) -> Suite:
    whole = build_suite(settings.model_copy(update={"n": settings.skip + settings.n}), seed)
    return stretch(whole, settings.skip, prefix)


def consolidated(run: RunFolder, config: ConsolidationConfig) -> set[str]:
    """Ids of the facts that the session's earlier nights consolidated, as their probe questions told."""
    session, known = session_of(config), set()
    for kind in written_kinds(run.root, session):
        generation = generations_of(run, config, kind).current()
        if generation is not None:
            rows = generation.table("episodes", EPISODE_SCHEMA, ("episode_id", "passes"))
            known |= set(rows.filter(pc.field("passes") > 0).column("episode_id").to_pylist())
    nights = nights_of_session(run, config)
    known -= {name for earlier in nights for name in withdrawn_passes(earlier)}
    for earlier in nights:
        known |= {name for name, passed in read_feedback(earlier).probes.items() if passed}
    return known


def facts_by_kind(facts: Sequence[Fact]) -> dict[str, list[Fact]]:
    """Facts by the kind of store that takes them in, both in their order.

    Raises:
        DataError: One id stands for facts of two kinds, between which feedback could not tell.
    """
    found: dict[str, list[Fact]] = {}
    kinds: dict[str, str] = {}
    for fact in facts:
        if kinds.setdefault(fact.id, fact.kind) != fact.kind:
            raise DataError(
                f"id {fact.id!r} stands for a fact of kind {kinds[fact.id]} and for one of kind {fact.kind}; "
                "give each fact its own id"
            )
        found.setdefault(fact.kind, []).append(fact)
    return found


def candidates_table(kind: str) -> str:
    """Name of the table with the candidates of one kind of store."""
    return "candidates" if kind == KIND else f"candidates-{kind}"


def judge_facts(
    facts: Sequence[Fact],
    store: EpisodicStore,
    encoder: SentenceEncoder,
    surprise: Surprise,
    config: GateConfig,
    source: str | Sequence[str],
) -> tuple[Episodes, list[GateDecision]]:
    """Pass facts of one kind through the write gate of their store, in their order.

    Args:
        facts: Experiences as lived.
        store: What is known already; not changed.
        encoder: The store's encoder.
        surprise: Of the frozen model.
        config: Section ``gate``; with ``random`` its verdicts are dealt out at random.
        source: Where the facts came from, for their rows; one for all, or one each.

    Returns:
        The candidates with scores, and the decisions, both in the order of ``facts``.
    """
    sources = [source] * len(facts) if isinstance(source, str) else source
    rows = [
        episode_of(fact, source=origin, created=len(store) + step)
        for step, (fact, origin) in enumerate(zip(facts, sources, strict=True))
    ]
    texts = [fact.text for fact in facts]
    judged = store.judge(store.candidates(rows, encoder.encode(texts)), surprise, config)
    return at_random(*judged) if config.random else judged


def model_surprise(config: ModelConfig) -> Surprise:
    """Surprise under the configured language model, which is loaded when the function is first called."""

    def surprise(texts: Sequence[str]) -> NDArray[np.float64]:
        from pipeline.language.models import load_for_evaluation
        from pipeline.language.surprise import word_surprise

        return np.asarray(
            word_surprise(load_for_evaluation(config), texts, context=SURPRISE_CONTEXT, prior=SURPRISE_PRIOR),
            dtype=np.float64,
        )

    return surprise


def gate_metrics(decisions: Sequence[GateDecision]) -> dict[str, Any]:
    """Attempts, accepts, reasons, and the mean of every part of the score."""
    parts = ("nats", "surprise", "novelty", "reward", "pin", "score")
    means = {part: float(np.mean([getattr(d, part) for d in decisions])) if decisions else 0.0 for part in parts}
    return {
        "attempts": len(decisions),
        "accepts": sum(d.accepted for d in decisions),
        "reasons": dict(sorted(Counter(d.reason for d in decisions).items())),
        "mean": means,
    }


def _suite_metrics(suite: Suite, decisions: Sequence[GateDecision]) -> dict[str, Any]:
    taught = {fact.id for fact in suite.taught}
    accepted = sum(d.accepted for d in decisions if d.episode_id in taught)
    return {
        "name": suite.name,
        "n": len(suite.taught),
        "distractors": len(suite.distractors),
        "ceiling": suite.statistics.ceiling,
        "majority": dict(suite.statistics.majority),
        "accepted": accepted,
        "refused": len(taught) - accepted,
    }
