"""``engram bench parallel``: a night's training on several GPUs against the same training on one.

engram bench parallel                                                   # two GPUs: minutes
engram bench parallel --set processes=4 --set lora.batch_size=128
engram bench parallel --set model.name=FOLDER --set lora.first_layer=16 # another model
engram bench parallel --set model.device=cpu --set facts=4 --set lora.batch_size=8 --set lora.epochs=2

Stage ``lora_train`` itself, on the rows of a night of ``facts`` facts with all its rehearsal; every training begins in
fresh processes. Steps a second are those after the first ``warm_up`` ones, probe questions at the ends of passes
included; the whole stage also counts the start of the processes and everything before the first step, of which the
other GPUs spare little. With small steps a GPU waits for Python most of the time, and half the rows take nearly as
long: `lora.batch_size` decides whether a second GPU pays.

Both take the same steps on the same rows, up to the order in which numbers are added. What that makes of the adapter's
weights is told beside how far two equal runs lie apart (``again=true``).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.bench.isolation import in_own_process
from pipeline.bench.registry import Figure, Figures, register_benchmark
from pipeline.errors import ConfigError
from pipeline.evaluation.types import Memory
from pipeline.progress import Silent
from pipeline.stores.specifics import words_of

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.config import ConsolidationConfig
    from pipeline.config.benchmarks import ParallelBenchConfig
    from pipeline.language.training import Step
    from pipeline.suites.types import Fact


@register_benchmark(
    "parallel", "training steps a second on several GPUs, the ratio to one, and how far the weights differ"
)
def parallel(settings: Sequence[str]) -> Figures:
    """Train the same night by one process and by several, and compare.

    Args:
        settings: Overrides of configs/benchmarks/parallel.yaml.

    Raises:
        ConfigError: A setting is wrong, there are fewer GPUs, or no steps are left to time.
        ModelError: The language model is absent.
        TrainingError: A training failed.
    """
    from pipeline.config import config_root, load_section
    from pipeline.config.benchmarks import ParallelBenchConfig
    from pipeline.stages.lora_train import processes_of

    config = load_section(ParallelBenchConfig, config_root() / "benchmarks" / "parallel.yaml", settings)
    _, on_gpu = processes_of(night_of(config, config.processes))
    with tempfile.TemporaryDirectory(prefix="engram-bench-") as folder:
        (rows, place), _ = in_own_process(prepare, config, Path(folder))
        one, *others = [
            trained(night_of(config, count), Path(folder), f"{number}", count, on_gpu)
            for number, count in enumerate([1, config.processes, *([1] if config.again else [])])
        ]
    if len(one.steps) <= config.warm_up:
        raise ConfigError(
            f"warm_up={config.warm_up} of {len(one.steps)} steps leaves none to time: more lora.epochs, or facts"
        )
    names = [f"{config.processes} processes", "1 process again"]
    found = {"1 process": one, **dict(zip(names, others, strict=False))}
    return {
        "machine": place,
        "rows": rows,
        "steps": len(one.steps),
        "rows a step": sum(step.examples for step in one.steps) / len(one.steps),
        "tokens a step": sum(step.tokens for step in one.steps) / len(one.steps),
        "training": {name: training_row(training, one, config.warm_up) for name, training in found.items()},
        "against 1 process": {
            name: difference_row(one, training) for name, training in found.items() if training != one
        },
    }


@dataclass(frozen=True, eq=False)
class Training:
    """One training of the night.

    Attributes:
        steps: Every step's record.
        times: Seconds from the start to the end of every step.
        seconds: From the start to the adapter's files.
        weights: The adapter, by name.
    """

    steps: Sequence[Step]
    times: Sequence[float]
    seconds: float
    weights: dict[str, Tensor]

    def rate(self, warm_up: int) -> float:
        """Steps a second after the first ``warm_up``."""
        return (len(self.times) - warm_up) / (self.times[-1] - self.times[warm_up - 1])


class _Clock(Silent):
    """Notes when every step ends."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.times: list[float] = []

    def note(self, text: str) -> None:
        self.times.append(time.perf_counter() - self.start)


class SharedWords:
    """Brings every question the facts with which it shares the most words; a `Retriever`."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self._facts = [(words_of(fact.text), fact) for fact in facts]
        self.requests = self.hits = 0

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[Memory]]:
        self.requests += len(queries)
        self.hits += len(queries)
        return [self._best(words_of(query), k) for query in queries]

    def _best(self, asked: frozenset[str], k: int) -> list[Memory]:
        best = sorted(self._facts, key=lambda one: -len(asked & one[0]))[:k]
        return [Memory(fact.text, fact.id, len(asked & words) / len(asked)) for words, fact in best]


def night_of(config: ParallelBenchConfig, processes: int) -> ConsolidationConfig:
    """The night's configuration with so many processes."""
    from pipeline.stages.night import configure

    lora = config.lora.model_copy(update={"processes": processes})
    sections = {"seed": config.seed, "model": config.model, "distil": config.distil, "lora": lora}
    return configure("consolidation/episodic", ()).model_copy(update=sections)


def prepare(config: ParallelBenchConfig, folder: Path) -> tuple[int, str]:
    """Write what stage ``sleep_distil`` hands over to ``folder``; how many rows there are, and on what machine."""
    import torch

    from pipeline.artifacts import write_table
    from pipeline.language.lower_states import FILE, save_lower
    from pipeline.language.models import load_model
    from pipeline.language.rows import rows_table
    from pipeline.language.targets import Rehearsal, build_targets
    from pipeline.stages.lora_train import ROWS
    from pipeline.stages.sleep_distil import TARGETS_SCHEMA, phase_of
    from pipeline.suites.episodic import build_episodic
    from pipeline.suites.rehearsal import load_rehearsal
    from pipeline.suites.sanity import load_sanity

    lm = load_model(config.model)
    facts = build_episodic(config.facts, config.seed).taught
    studied = [_without_tests(fact) for fact in facts]
    rows, encoded = build_targets(
        lm,
        studied,
        sorted({fact.subject for fact in facts if fact.subject}),
        Rehearsal(load_rehearsal(), load_sanity()),
        SharedWords(studied),
        config.distil,
        config.lora.first_layer,
        config.seed,
        phase_of(Silent()),
    )
    write_table(folder / ROWS, rows_table(rows), TARGETS_SCHEMA, "bench")
    save_lower(lm, encoded, folder / FILE)
    where = f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}" if lm.device.type == "cuda" else "CPU"
    return len(rows), f"{where}, {str(lm.dtype).removeprefix('torch.')}"


def _without_tests(fact: Fact) -> Fact:
    from dataclasses import replace

    return replace(fact, questions=(*fact.asked("train"), *fact.asked("probe")))


def trained(config: ConsolidationConfig, inputs: Path, name: str, count: int, on_gpu: bool) -> Training:
    """The stage's training in ``count`` fresh processes."""
    from safetensors.torch import load_file

    from pipeline.language.lower_states import FILE
    from pipeline.language.processes import in_processes
    from pipeline.stages.lora_train import ROWS, train_written

    folder, clock = inputs / name, _Clock()
    folder.mkdir()
    given = (inputs / ROWS, config, folder, inputs / FILE, None, frozenset[str](), ())
    steps, _ = in_processes(train_written, given, count, on_gpu, clock)
    seconds = time.perf_counter() - clock.start
    return Training(steps, clock.times, seconds, load_file(folder / "adapter" / "adapter_model.safetensors"))


def training_row(training: Training, one: Training, warm_up: int) -> dict[str, Figure]:
    """How fast a training was, itself and against that of one process."""
    return {
        "steps/s": training.rate(warm_up),
        "step (ms)": 1000 / training.rate(warm_up),
        "ratio of steps/s": training.rate(warm_up) / one.rate(warm_up),
        "before step 1 ends (s)": training.times[0],
        "whole stage (s)": training.seconds,
        "ratio of stages": one.seconds / training.seconds,
    }


def difference_row(one: Training, other: Training) -> dict[str, Figure]:
    """How far two trainings lie apart; the norm of B, which begins at zero, says how far either has come."""
    from pipeline.stages.lora_train import first_and_last

    last = first_and_last(one.steps)[1]
    gaps = {name: (other.weights[name] - weight).double() for name, weight in one.weights.items()}
    learned = [name for name in one.weights if "lora_B" in name]
    squares = [sum(float(some[name].square().sum()) for name in learned) for some in (gaps, one.weights)]
    return {
        "last loss of 1 process": last,
        "difference of the last loss": first_and_last(other.steps)[1] - last,
        "largest difference of a weight": max(float(gap.abs().max()) for gap in gaps.values()),
        "largest weight": max(float(weight.abs().max()) for weight in one.weights.values()),
        "difference of B (share of its norm)": (squares[0] / squares[1]) ** 0.5,
    }
