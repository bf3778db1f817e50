"""Stores of every kind on disk: one generation per change, opened again in any process.

A generation is a folder with one table; the manifest that names it carries :func:`metadata_of`:

    memory/<session>/<kind>/gen-000007/episodes.parquet
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipeline.artifacts import Generation, GenerationStore
from pipeline.config import StoreConfig
from pipeline.errors import StoreError
from pipeline.stores.episode import EPISODE_SCHEMA
from pipeline.stores.episode_table import FIELDS, from_columns, rows_of, to_table
from pipeline.stores.episodic import EpisodicStore
from pipeline.stores.outcomes import Counters, EncoderIdentity
from pipeline.stores.registry import store_class

KIND = EpisodicStore.kind
STORE_VERSION = 1


def save(store: EpisodicStore, generations: GenerationStore, *, config_hash: str = "") -> Generation:
    """Publishes the store as the next generation.

    Raises:
        StoreError: Another process is writing.
        ArtifactError: The disk is full or the folder cannot be written.
    """
    tables, schemas = {"episodes": to_table(store.episodes)}, {"episodes": EPISODE_SCHEMA}
    for name, (table, schema) in store.derived_tables().items():
        tables[name], schemas[name] = table, schema
    return generations.publish(tables, metadata_of(store), config_hash=config_hash, schemas=schemas)


def load(
    generations: GenerationStore, session: str, config: StoreConfig, encoder: EncoderIdentity, kind: str = KIND
) -> EpisodicStore:
    """Opens the current generation; an empty store where nothing was published.

    Args:
        generations: Where it lies.
        session: Name of the store.
        config: May differ from the writer's; codes are then made anew from the dense keys.
        encoder: Who will make the queries.
        kind: Of the store; decides its class.

    Raises:
        StoreError: The store was written by another encoder, another session or a newer program.
        ArtifactError: A file is missing or damaged.
    """
    generation = generations.current()
    store = store_class(kind)(session, config, encoder)
    if generation is None:
        return store
    metadata = generation.metadata
    _check(metadata, store, str(generation.path))
    same_code = metadata["code"] == _code_of(store)
    table = generation.table("episodes", EPISODE_SCHEMA, FIELDS)
    keys = generation.matrix("episodes", "key", EPISODE_SCHEMA)
    codes = {name: generation.matrix("episodes", name, EPISODE_SCHEMA) for name in ("code", "activity") if same_code}
    if same_code or not table.num_rows:
        store.episodes = from_columns(table, {"key": keys, **codes}, store.expansion)
    else:
        store.episodes = store.candidates(rows_of(table), keys)
    store.counters = Counters(**metadata["counters"])
    store.night = int(metadata["night"])
    store.folded_runs = tuple(metadata["folded_runs"])
    return store


def metadata_of(store: EpisodicStore) -> dict[str, Any]:
    """What stands in the manifest beside the table: version, encoder, code, night, counters, folded runs."""
    return {
        "store_version": STORE_VERSION,
        "kind": store.kind,
        "session": store.session,
        "encoder": asdict(store.encoder),
        "code": _code_of(store),
        "night": store.night,
        "counters": store.counts,
        "folded_runs": list(store.folded_runs),
    }


def _code_of(store: EpisodicStore) -> dict[str, int]:
    expansion = store.expansion
    return {"expansion": expansion.units, "active": expansion.active, "projection_seed": expansion.seed}


def _check(metadata: dict[str, Any], store: EpisodicStore, where: str) -> None:
    version = metadata.get("store_version")
    if version != STORE_VERSION:
        raise StoreError(f"{where}: expected store version {STORE_VERSION}, found {version!r}; use the newer program")
    if metadata["kind"] != store.kind or metadata["session"] != store.session:
        raise StoreError(
            f"{where}: expected the {store.kind} store of session {store.session!r}, "
            f"found the {metadata['kind']} store of {metadata['session']!r}"
        )
    written = metadata["encoder"]
    if written["digest"] != store.encoder.digest:
        raise StoreError(
            f"{where}: keys were made by encoder {written['name']!r} (sha256 {written['digest'][:16]}…), but the "
            f"configured encoder is {store.encoder.name!r} (sha256 {store.encoder.digest[:16]}…); "
            f"set encoder.name={written['name']} or teach the facts again in a new session"
        )
