"""Where a night's stores lie, one per kind, and how its stages open the very generations that the night wrote.

A fresh deployment keeps its store inside the run's folder; a continuing one uses the named session's:

    runs/<flow>/<deployment>/<run id>/memory/<session>/<kind>/gen-000001/…
    memory/<session>/<kind>/gen-000007/…
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.artifacts import Generation, GenerationStore, RunFolder, StageResult, read_json
from pipeline.config import ConsolidationConfig, FlowConfig, StoreConfig
from pipeline.errors import StoreError
from pipeline.stores.encoder import SentenceEncoder
from pipeline.stores.episode import EPISODE_SCHEMA
from pipeline.stores.episode_table import to_table
from pipeline.stores.episodic import EpisodicStore
from pipeline.stores.outcomes import EncoderIdentity
from pipeline.stores.persistence import KIND, load, metadata_of
from pipeline.stores.registry import store_class, store_kinds
from pipeline.suites.table import facts_of, facts_table, questions_table
from pipeline.suites.types import Fact

MEMORY = "memory"
DEFAULT_SESSION = "default"
FACTS, QUESTIONS = "facts", "questions"


def session_of(config: FlowConfig) -> str:
    """Name of the night's store."""
    return config.session or DEFAULT_SESSION


def generations_of(run: RunFolder, config: FlowConfig, kind: str = KIND) -> GenerationStore:
    """The store that the night writes: private to a fresh run, the session's for a continuing one."""
    return GenerationStore.of(run.path if config.fresh else run.root, session_of(config), kind)


def identity_of(encoder: SentenceEncoder) -> EncoderIdentity:
    """What a store records of its encoder."""
    return EncoderIdentity(encoder.name, encoder.digest, encoder.dimension)


@dataclass(frozen=True)
class StoreReference:
    """Which generation of which store a night uses, as ``persist_store/store.json`` keeps one for each kind.

    Attributes:
        private: Whether it lies inside the run's folder.
        session: Name of the store.
        generation: Its number.
        digest: Of the generation's manifest.
        kind: Of the store.
    """

    private: bool
    session: str
    generation: int
    digest: str
    kind: str = KIND

    def store(self, run: RunFolder) -> GenerationStore:
        """The generations that it points into, wherever the run lies now."""
        return GenerationStore.of(run.path if self.private else run.root, self.session, self.kind)


def references_of(stored: StageResult) -> tuple[StoreReference, ...]:
    """The store references that stage ``persist_store`` wrote, one per kind; older runs have a single one.

    Raises:
        StoreError: The file holds none.
    """
    path = stored.path / "store.json"
    try:
        written = read_json(path)
        return tuple(StoreReference(**reference) for reference in written.get("stores", [written]))
    except (TypeError, AttributeError) as error:
        raise StoreError(
            f"{path}: expected references to store generations ({error}); run persist_store again"
        ) from None


def reference_of(stored: StageResult, kind: str | None = None) -> StoreReference:
    """The reference of one kind of store that stage ``persist_store`` wrote; None means the only kind, or the first.

    Raises:
        StoreError: The night has no store of that kind.
    """
    found = {reference.kind: reference for reference in references_of(stored)}
    if kind is None:
        return next(iter(found.values()))
    if kind not in found:
        raise StoreError(f"{stored.path / 'store.json'}: no {kind} store; this night has: {', '.join(found)}")
    return found[kind]


class _Pinned(GenerationStore):
    """A store whose current generation is a fixed one, whatever was published later."""

    def __init__(self, folder: Path, number: int) -> None:
        super().__init__(folder)
        self._number = number

    def current(self, verify: bool = True) -> Generation | None:
        return self.generation(self._number, verify)


def open_stores(
    run: RunFolder, stored: StageResult, config: StoreConfig, encoder: SentenceEncoder
) -> tuple[EpisodicStore, ...]:
    """Every store as stage ``persist_store`` of this run left it; arguments and errors as of `open_store`."""
    kinds = [reference.kind for reference in references_of(stored)]
    return tuple(open_store(run, stored, config, encoder, kind) for kind in kinds)


def open_store(
    run: RunFolder, stored: StageResult, config: StoreConfig, encoder: SentenceEncoder, kind: str = KIND
) -> EpisodicStore:
    """The store of one kind as stage ``persist_store`` of this run left it.

    Args:
        run: The run.
        stored: Result of ``persist_store``.
        config: Section ``store``.
        encoder: Who will make the queries.
        kind: Of the store.

    Raises:
        StoreError: It was written by another encoder.
        ArtifactError: A file is missing or damaged.
    """
    reference = reference_of(stored, kind)
    pinned = _Pinned(reference.store(run).folder, reference.generation)
    return load(pinned, reference.session, config, identity_of(encoder), kind)


def store_before(
    run: RunFolder, config: ConsolidationConfig, encoder: SentenceEncoder, kind: str = KIND
) -> EpisodicStore:
    """The store of a kind as the night finds it: empty for a fresh run, else the session's newest generation.

    Raises:
        StoreError: It was written by another encoder.
    """
    if config.fresh:
        return store_class(kind)(session_of(config), config.store, identity_of(encoder))
    return load(generations_of(run, config, kind), session_of(config), config.store, identity_of(encoder), kind)


def publish_store(
    store: EpisodicStore,
    generations: GenerationStore,
    facts: tuple[Fact, ...],
    config_hash: str = "",
    origin: Mapping[str, Any] | None = None,
) -> Generation:
    """Publish the next generation: the episodes, and beside them the facts with all questions that came with them.

    Sleep reads the table ``episodes`` alone, which holds no test question; `session_facts` reads the others.

    Args:
        store: What to publish.
        generations: Where.
        facts: Those that are not in the store are left out.
        config_hash: Of the run that writes.
        origin: More metadata: who wrote it, and what happened.
    """
    rows = store.episodes.records
    known = (
        set(zip(rows.column("session").tolist(), rows.column("episode_id").tolist(), strict=True)) if facts else set()
    )
    kept = [fact for fact in facts if (fact.session, fact.id) in known]
    tables = {
        "episodes": to_table(store.episodes),
        FACTS: facts_table(kept),
        QUESTIONS: questions_table(question for fact in kept for question in fact.questions),
    }
    schemas = {"episodes": EPISODE_SCHEMA}
    for name, (table, schema) in store.derived_tables().items():
        tables[name], schemas[name] = table, schema
    return generations.publish(
        tables, metadata_of(store) | dict(origin or {}), config_hash=config_hash, schemas=schemas
    )


def session_facts(generations: GenerationStore) -> tuple[Fact, ...]:
    """The facts that were taught into a session's store, with their questions of every split; empty without one."""
    generation = generations.current()
    return facts_of_generation(generation) if generation else ()


def facts_of_generation(generation: Generation) -> tuple[Fact, ...]:
    """The facts beside a generation's episodes, with their questions of every split; empty where none were kept."""
    names = {file.path.rsplit("/", 1)[-1] for file in generation.manifest.files}
    if f"{FACTS}.parquet" not in names:
        return ()
    return facts_of(generation.table(FACTS), generation.table(QUESTIONS))


def written_kinds(root: Path, session: str) -> tuple[str, ...]:
    """The kinds of which a session below an artifact root has a store."""
    stores = {kind: GenerationStore.of(root, session, kind) for kind in store_kinds()}
    return tuple(kind for kind, generations in stores.items() if generations.current(verify=False) is not None)


def merge_facts(old: tuple[Fact, ...], new: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """Old and new facts, in their order; a new one replaces the old one of the same session and id."""
    merged = {(fact.session, fact.id): fact for fact in (*old, *new)}
    return tuple(merged.values())
