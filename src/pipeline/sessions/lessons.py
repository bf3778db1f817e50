"""Write a person's facts, notes and chats into the stores of their sessions, at once and idempotently."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifacts import GenerationStore
from pipeline.config import ConsolidationConfig, check_name
from pipeline.errors import DataError
from pipeline.reading import Reading, facts_of
from pipeline.stages.memory import DEFAULT_SESSION, identity_of, merge_facts, publish_store, session_facts
from pipeline.stages.pending import drop_pending
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


def teach_reading(
    reading: Reading, session: str | None, config: ConsolidationConfig, surprise: Surprise | None = None
) -> Lesson:
    """Take in what was read of notes and chats: one episode a passage, known by what it says.

    Args:
        reading: Of a folder or file, see `pipeline.reading`.
        session: The store; None is ``default``.
        config: Sections model, encoder, gate, store, and the artifact root.
        surprise: Replaces the language model's; for tests.

    Raises:
        ConfigError: The session's name cannot be part of a path.
        StoreError: Another process writes the store, or another encoder wrote it.
    """
    name = check_name(session or DEFAULT_SESSION, "session")
    facts = with_study_forms(facts_of(reading.passages, name))
    sources = [passage.source for passage in reading.passages]
    encoder = SentenceEncoder(config.encoder)
    return _teach(name, facts, sources, config, encoder, surprise or model_surprise(config.model))


def teach_file(
    file: Path, session: str | None, config: ConsolidationConfig, surprise: Surprise | None = None
) -> list[Lesson]:
    """Take in a file of facts; nothing is written unless every row is right.

    Args:
        file: JSON lines, see `pipeline.suites.facts`; notes and chats are taken in by `teach_reading`.
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
    return [_teach(name, lived, file.name, config, encoder, judge) for name, lived in by_session.items()]


def _teach(
    session: str,
    facts: list[Fact],
    source: str | Sequence[str],
    config: ConsolidationConfig,
    encoder: SentenceEncoder,
    surprise: Surprise,
) -> Lesson:
    generations = GenerationStore.of(config.root, session, KIND)
    with generations.writing():
        store = load(generations, session, config.store, identity_of(encoder))
        judged, decisions = judge_facts(facts, store, encoder, surprise, config.gate, source)
        report = store.write(judged, enforce=config.gate.enforce)
        if report.written or report.replaced or generations.current(verify=False) is None:
            publish_store(store, generations, merge_facts(session_facts(generations), tuple(facts)))
    drop_pending(config.root, session, report.written)  # what is taught again is not to be unlearned
    return Lesson(session, tuple(decisions), report, len(store), generations.folder)
