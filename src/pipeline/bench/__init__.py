"""Named benchmarks: a new one is one file with one decorator.

    @register_benchmark("train", "tokens a second of the training loop")
    def train(settings: Sequence[str]) -> dict[str, float | int | str]: ...

``settings`` are overrides such as ``lora.batch_tokens=512``; the figures name their units.
"""

from pipeline.bench.registry import Benchmark, BenchmarkFailed, benchmark, benchmarks, register_benchmark

__all__ = ["Benchmark", "BenchmarkFailed", "benchmark", "benchmarks", "register_benchmark"]
