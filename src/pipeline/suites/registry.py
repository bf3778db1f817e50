"""Suites by name: a new suite is one file with one decorator.

@register_suite("episodic")
def build(config: SuiteConfig, seed: int) -> Suite: ...
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from pipeline.errors import ConfigError
from pipeline.suites.types import Suite


class SuiteSettings(Protocol):
    """What a suite reads of ``SuiteConfig``."""

    @property
    def name(self) -> str: ...
    @property
    def n(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def profile(self) -> str: ...
    @property
    def contradictions(self) -> float: ...
    @property
    def shares(self) -> Mapping[str, float]: ...
    @property
    def path(self) -> Path | None: ...
    @property
    def test_forms(self) -> Path | None: ...
    @property
    def author_range(self) -> range: ...


SuiteBuilder = Callable[[SuiteSettings, int], Suite]
_BUILDERS: dict[str, SuiteBuilder] = {}
_SHIPPED = (
    "pipeline.suites.episodic",
    "pipeline.suites.facts",
    "pipeline.suites.mixed",
    "pipeline.suites.relational",
    "pipeline.suites.tofu",
    "pipeline.suites.triples",
    "pipeline.suites.spatial",
    "pipeline.suites.documents",
    "pipeline.suites.message_day",
)


def register_suite(name: str) -> Callable[[SuiteBuilder], SuiteBuilder]:
    """Make a builder available as ``suite.name``."""

    def register(builder: SuiteBuilder) -> SuiteBuilder:
        if _BUILDERS.setdefault(name, builder) is not builder:
            raise ConfigError(f"suite {name!r} is registered twice")
        return builder

    return register


def suite_names() -> tuple[str, ...]:
    """Every registered suite, sorted."""
    for module in _SHIPPED:
        importlib.import_module(module)
    return tuple(sorted(_BUILDERS))


def build_suite(config: SuiteSettings, seed: int) -> Suite:
    """Build the suite that a configuration names.

    Args:
        config: The ``suite`` section.
        seed: Seed of the suite: ``suite.seed``, or the run's seed when that is null.

    Raises:
        ConfigError: No suite has this name.
        DataError: Its data is malformed or ambiguous.
    """
    names = suite_names()
    if config.name not in names:
        raise ConfigError(f"suite.name: expected one of {', '.join(names)}, found {config.name!r}")
    return _BUILDERS[config.name](config, seed)
