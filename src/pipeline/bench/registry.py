"""Benchmarks by name; every module of this package is searched for them."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import ConfigError, EngramError

Figure = float | int | str
Rows = Mapping[str, Mapping[str, Figure]]
Figures = Mapping[str, Figure | Rows]
"""By name; what is not a single figure is a table by row and column."""

Benchmark = Callable[[Sequence[str]], Figures]


class BenchmarkFailed(EngramError):
    """What a benchmark found is not as it has to be; carries its figures all the same."""

    def __init__(self, message: str, figures: Figures) -> None:
        super().__init__(message)
        self.figures = figures


_BENCHMARKS: dict[str, tuple[str, Benchmark]] = {}


def register_benchmark(name: str, measures: str) -> Callable[[Benchmark], Benchmark]:
    """Decorator: makes the function ``engram bench name``.

    Args:
        name: What the user types.
        measures: What it measures, with the unit, in one line.
    """

    def register(function: Benchmark) -> Benchmark:
        if name in _BENCHMARKS:
            raise ValueError(f"benchmark {name!r} is already registered")
        _BENCHMARKS[name] = (measures, function)
        return function

    return register


def benchmarks() -> dict[str, str]:
    """Every benchmark with what it measures, sorted by name."""
    _load()
    return {name: _BENCHMARKS[name][0] for name in sorted(_BENCHMARKS)}


def benchmark(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        ConfigError: There is none.
    """
    _load()
    if name not in _BENCHMARKS:
        near = difflib.get_close_matches(name, _BENCHMARKS, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"unknown benchmark {name!r}{hint}; there are: {', '.join(sorted(_BENCHMARKS)) or 'none'}")
    return _BENCHMARKS[name][1]


def _load() -> None:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"pipeline.bench.{module.name}")
