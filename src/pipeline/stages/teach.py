"""Stage ``teach``: from the experiences of one wake session to candidate episodes with their gate scores.

Reads the suite, or the facts of the session's store. Writes ``suite``, ``facts``, ``questions-train``, ``-probe``,
``-test``, ``candidates`` (schema episodes/1, no test question in it) and ``gate`` (gate/1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import RunFolder, StageResult
from pipeline.config import ConsolidationConfig, GateConfig, ModelConfig
from pipeline.errors import StoreError
from pipeline.progress import Progress
from pipeline.stages.memory import generations_of, session_facts, session_of, store_before
from pipeline.stages.registry import opened
from pipeline.stages.suite_files import write_suite
from pipeline.stores.encoder import SentenceEncoder
from pipeline.stores.episode import EPISODE_SCHEMA, Episodes, episode_of, to_table
from pipeline.stores.episodic import EpisodicStore
from pipeline.stores.gate import GATE_SCHEMA, SURPRISE_CONTEXT, SURPRISE_PRIOR, GateDecision, decisions_table, judge
from pipeline.suites.registry import build_suite
from pipeline.suites.types import Fact, Suite

Surprise = Callable[[Sequence[str]], NDArray[np.float64]]
"""Mean surprise of each text under the frozen model, nats per token."""


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
        store = store_before(run, config, encoder)
        facts = (*suite.taught, *suite.distractors)
        progress.phase("surprise and novelty", len(facts))
        judged, decisions = judge_facts(
            facts, store, encoder, surprise or model_surprise(config.model), config.gate, f"suite:{suite.name}"
        )
        progress.advance(len(facts))
        write_suite(stage, suite)
        stage.write_table("candidates", to_table(judged), EPISODE_SCHEMA)
        stage.write_table("gate", decisions_table(decisions), GATE_SCHEMA)
        stage.metrics = {"suite": _suite_metrics(suite, decisions), "gates": gate_metrics(decisions)}
    return stage.result


def suite_of_night(run: RunFolder, config: ConsolidationConfig) -> Suite:
    """The configured suite; a continuing night without a file examines what its session's store holds."""
    seed = config.seed if config.suite.seed is None else config.suite.seed
    if config.fresh or config.suite.name != "facts" or config.suite.path is not None:
        return build_suite(config.suite, seed)
    from pipeline.suites.facts import suite_of_facts

    facts = session_facts(generations_of(run, config))
    if not facts:
        session = session_of(config)
        raise StoreError(
            f"the store of session {session!r} is empty, so there is nothing to consolidate; "
            f"teach it first: engram teach FILE --session {session}"
        )
    return suite_of_facts(facts, seed)


def judge_facts(
    facts: Sequence[Fact],
    store: EpisodicStore,
    encoder: SentenceEncoder,
    surprise: Surprise,
    config: GateConfig,
    source: str,
) -> tuple[Episodes, list[GateDecision]]:
    """Pass facts through the write gate of a store, in their order.

    Args:
        facts: Experiences as lived.
        store: What is known already; not changed.
        encoder: The store's encoder.
        surprise: Of the frozen model.
        config: Section ``gate``.
        source: Where the facts came from, for their rows.

    Returns:
        The candidates with scores, and the decisions, both in the order of ``facts``.
    """
    rows = [episode_of(fact, source=source, created=len(store) + step) for step, fact in enumerate(facts)]
    texts = [fact.text for fact in facts]
    return judge(store.candidates(rows, encoder.encode(texts)), surprise(texts), store.episodes, config)


def model_surprise(config: ModelConfig) -> Surprise:
    """Surprise under the configured language model, which is loaded when the function is first called."""

    def surprise(texts: Sequence[str]) -> NDArray[np.float64]:
        from pipeline.language.models import load_for_evaluation
        from pipeline.language.surprise import token_surprise

        return np.asarray(
            token_surprise(load_for_evaluation(config), texts, context=SURPRISE_CONTEXT, prior=SURPRISE_PRIOR),
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
