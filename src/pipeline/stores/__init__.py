"""External memory: stores by kind, their sentence encoder, their write gates, and retrieval for memory-ON prompts."""

from pipeline.stores.encoder import SentenceEncoder
from pipeline.stores.episode import EPISODE_SCHEMA, Episode, Episodes, Forms, episode_of, forms_of
from pipeline.stores.episode_table import from_table, to_table
from pipeline.stores.episodic import EpisodicStore
from pipeline.stores.gate import (
    GATE_SCHEMA,
    SURPRISE_CONTEXT,
    SURPRISE_PRIOR,
    GateDecision,
    Surprise,
    decisions_table,
    judge,
    squash_surprise,
)
from pipeline.stores.outcomes import Completion, Counters, EncoderIdentity, Recollection, WriteReport
from pipeline.stores.persistence import load, metadata_of, save
from pipeline.stores.registry import register_store, store_class, store_kinds
from pipeline.stores.retriever import FixedRetriever, StoreRetriever, TextEncoder
from pipeline.stores.sparse import Expansion, InvertedIndex, SparseCode

__all__ = [
    "EPISODE_SCHEMA",
    "GATE_SCHEMA",
    "SURPRISE_CONTEXT",
    "SURPRISE_PRIOR",
    "Completion",
    "Counters",
    "EncoderIdentity",
    "Episode",
    "Episodes",
    "EpisodicStore",
    "Expansion",
    "FixedRetriever",
    "Forms",
    "GateDecision",
    "InvertedIndex",
    "Recollection",
    "SentenceEncoder",
    "SparseCode",
    "StoreRetriever",
    "Surprise",
    "TextEncoder",
    "WriteReport",
    "decisions_table",
    "episode_of",
    "forms_of",
    "from_table",
    "judge",
    "load",
    "metadata_of",
    "register_store",
    "save",
    "squash_surprise",
    "store_class",
    "store_kinds",
    "to_table",
]
