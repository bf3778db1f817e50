"""Kinds of stores by name: a new kind is one file with one decorator.

@register_store("relational")
class RelationalStore(EpisodicStore): ...

store_class("relational")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import stores
from pipeline.registry import Registry

if TYPE_CHECKING:
    from pipeline.stores.episodic import EpisodicStore

STORES: Registry[type[EpisodicStore]] = Registry("kind of store", stores)
register_store = STORES.register


def store_class(kind: str) -> type[EpisodicStore]:
    """The class of the stores of a kind.

    Raises:
        ConfigError: There is no such kind.
    """
    return STORES.find(kind)


def store_kinds() -> tuple[str, ...]:
    """Every kind of store, sorted."""
    return STORES.names()
