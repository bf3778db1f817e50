"""Benchmarks by name."""

from __future__ import annotations

import pytest

from pipeline.bench import benchmark, benchmarks, register_benchmark, registry
from pipeline.errors import ConfigError


def test_a_benchmark_is_one_function_with_one_decorator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BENCHMARKS", {})

    @register_benchmark("counting", "numbers a second")
    def counting(settings: object) -> registry.Figures:
        return {"numbers_per_second": 3.0, "settings": str(settings)}

    assert benchmarks()["counting"] == "numbers a second"
    assert benchmark("counting")(("a=1",))["numbers_per_second"] == 3.0
    with pytest.raises(ValueError, match="already registered"):
        register_benchmark("counting", "again")(counting)
    with pytest.raises(ConfigError, match="did you mean 'counting'"):
        benchmark("countin")
