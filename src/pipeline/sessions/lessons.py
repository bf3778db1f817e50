"""Write a person's facts into the stores of their sessions, at once and idempotently."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifacts import GenerationStore
from pipeline.config import ConsolidationConfig
from pipeline.errors import DataError
from pipeline.stages.memory import identity_of, merge_facts, publish_store, session_facts
from pipeline.stages.teach import judge_facts, model_surprise
from pipeline.stores.encoder import SentenceEncoder
from pipeline.stores.gate import GateDecision, Surprise
from pipeline.stores.outcomes import WriteReport
from pipeline.stores.persistence import KIND, load
from pipeline.suites.facts import read_facts
from pipeline.suites.study_forms import with_study_forms
from pipeline.suites.types import Fact


@dataclass(frozen=True)
class Lesson:
    """What became of one session's facts.

    Attributes:
        session: The store's name.
        decisions: The gate's verdicts, in the order of the file.
        report: Ids by what became of them.
        size: Episodes in the store now.
        folder: Where the generations of the store lie.
    """

    session: str
    decisions: tuple[GateDecision, ...]
    report: WriteReport
    size: int
    folder: Path


def teach_file(
    file: Path, session: str | None, config: ConsolidationConfig, surprise: Surprise | None = None
) -> list[Lesson]:
    """Take in a file of facts; nothing is written unless every row is right.

    Args:
        file: JSON lines, see `pipeline.suites.facts`.
        session: Store for all rows; None uses each row's own, else ``default``.
        config: Sections model, encoder, gate, store, and the artifact root.
        surprise: Replaces the language model's; for tests.

    Raises:
        DataError: The file is missing, empty or malformed.
        StoreError: Another process writes the store, or another encoder wrote it.
    """
    facts = with_study_forms(read_facts(file, session))
    if not facts:
        raise DataError(f"{file}: expected at least one fact, found none")
    by_session: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_session[fact.session].append(fact)
    encoder = SentenceEncoder(config.encoder)
    judge = surprise or model_surprise(config.model)
    return [_teach(name, lived, file, config, encoder, judge) for name, lived in by_session.items()]


def _teach(
    session: str,
    facts: list[Fact],
    file: Path,
    config: ConsolidationConfig,
    encoder: SentenceEncoder,
    surprise: Surprise,
) -> Lesson:
    generations = GenerationStore.of(config.root, session, KIND)
    with generations.writing():
        store = load(generations, session, config.store, identity_of(encoder))
        judged, decisions = judge_facts(facts, store, encoder, surprise, config.gate, file.name)
        report = store.write(judged, enforce=config.gate.enforce)
        if report.written or report.replaced or generations.current(verify=False) is None:
            publish_store(store, generations, merge_facts(session_facts(generations), tuple(facts)))
    return Lesson(session, tuple(decisions), report, len(store), generations.folder)
