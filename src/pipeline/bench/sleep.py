"""``engram bench sleep``: the night's training against a plain PEFT loop on transformers' Trainer and TRL's SFTTrainer.

engram bench sleep                                                  # 12 facts, six questions each: minutes on two cores
engram bench sleep --set model.device=cuda --set facts=200 --set lora.batch_size=32

Equal for all: the model and its number format, the adapter (matrices, layers, rank, first values), the rows and their
tokens, rows a step, passes, AdamW, learning rate and its schedule, gradient clipping, and the loss (cross-entropy on
the answer). Each program runs in a process of its own; they take turns, from one examination to the next, so that other
work on the machine slows all alike. A program ends at the first examination (free greedy generation of trained
questions, not timed) of at least ``quality``.

What differs is how the same step is computed: the night runs the frozen layers below the adapter once and keeps their
output; the tokens that a step's rows share at their beginning pass once; logits, and the last layer's queries, are
computed for the tokens of answers alone; rows are packed without padding; and LoRA products are fused. Its preparation
counts as training time. Rows come in another order.

Tokens a second count every token of prompt and answer, padding not, for all alike: the night is not given fewer for
those that it has cached. The share of the machine's limit sets the operations that were really computed (counted in one
step) beside what a large matrix product reaches on this machine, in the same run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pipeline.bench.course import Course, examiner
from pipeline.bench.isolation import Pause, in_own_process, in_turns
from pipeline.bench.programs import PROGRAMS
from pipeline.bench.registry import Figure, Figures, register_benchmark

if TYPE_CHECKING:
    import torch

    from pipeline.config.benchmarks import SleepBenchConfig
    from pipeline.language.models import LanguageModel
    from pipeline.language.rows import TrainingRow
    from pipeline.suites.types import Fact

NEEDS = {"TRL SFTTrainer": "trl"}
PRODUCT = {"cpu": 2048, "cuda": 8192}  # rows and columns of the matrices whose product shows the machine's limit
REPEATS = 5


@register_benchmark("sleep", "training tokens a second and time to EM .95, against transformers' Trainer and TRL")
def sleep(settings: Sequence[str]) -> Figures:
    """Train the same adapter on the same rows by every program, and compare.

    Args:
        settings: Overrides of configs/benchmarks/sleep.yaml.

    Raises:
        ConfigError: A setting is wrong.
        ModelError: The language model is absent.
    """
    from pipeline.config import config_root, load_section
    from pipeline.config.benchmarks import SleepBenchConfig

    config = load_section(SleepBenchConfig, config_root() / "benchmarks" / "sleep.yaml", settings)
    before, _ = in_own_process(conditions, config)
    missing = {
        name: f"not installed: pip install --no-deps {package}"
        for name, package in NEEDS.items()
        if find_spec(package) is None
    }
    names = [name for name in PROGRAMS if name not in missing]
    found = dict(zip(names, in_turns(contend, [(name, config) for name in names]), strict=True))
    after, _ = in_own_process(conditions, config)
    limit = max(before.limit, after.limit)
    size, length = config.lora.rows_per_step(before.rows), before.tokens / before.rows
    return {
        "machine": before.place,
        "rows": before.rows,
        "rows a step": size,
        "tokens a row": length,
        "limit (TFLOP/s)": limit / 1e12,
        **missing,
        f"to EM {config.quality:g} on trained questions": quality_table(found, config),
        "work and memory": work_table(found, size * length, limit),
    }


def contend(name: str, config: SleepBenchConfig, pause: Pause) -> Course:
    """One program's training, from the model's files on."""
    from pipeline.language.models import load_model

    lm = load_model(config.model)
    rows = rows_of(lm, config)
    examiner(lm, rows, config)()  # libraries start up, which is nobody's training
    return PROGRAMS[name](lm, rows, config, pause)


@dataclass(frozen=True)
class Conditions:
    """What all programs share: rows, their tokens, and the machine with its limit in operations a second."""

    rows: int
    tokens: int
    limit: float
    place: str


def conditions(config: SleepBenchConfig) -> Conditions:
    """Load the model, count, and measure."""
    import torch

    from pipeline.language.models import load_model

    lm = load_model(config.model)
    rows = rows_of(lm, config)
    tokens = sum(len(lm.tokenizer(r.prompt + r.target, add_special_tokens=False)["input_ids"]) for r in rows)
    where = torch.cuda.get_device_name() if lm.device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    place = f"{where}, {str(lm.dtype).removeprefix('torch.')}"
    return Conditions(len(rows), tokens, product_rate(lm.device, lm.dtype), place)


def product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large square matrix product, the best of a few."""
    import torch

    size = PRODUCT[device.type]
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def rows_of(lm: LanguageModel, config: SleepBenchConfig) -> list[TrainingRow]:
    """The first train questions of every fact, in the words of the episodic suite."""
    from pipeline.suites.episodic import build_episodic

    facts = build_episodic(config.facts, config.seed).taught
    every, chosen = question_rows(lm, facts, config.seed), []
    for fact in facts:
        chosen += [row for row in every if row.episode_id == fact.id][: config.lora.forms_per_epoch]
    return chosen


def question_rows(lm: LanguageModel, facts: Sequence[Fact], seed: int) -> list[TrainingRow]:
    """Every train question of every fact, closed book, fact by fact."""
    from pipeline.config import DistilConfig
    from pipeline.language.forms import fact_rows
    from pipeline.suites.rehearsal import load_rehearsal

    rows = fact_rows(facts, lm.tokenizer, DistilConfig(memory_forms=0), seed, load_rehearsal().slots)
    return [row for row in rows if (row.kind, row.split) == ("question", "train")]


def quality_table(found: Mapping[str, tuple[Course, int]], config: SleepBenchConfig) -> dict[str, dict[str, Figure]]:
    """When each program reached the quality; ``steps`` and ``seconds`` after ``>`` did not."""
    times = {name: course.reached(config.quality) for name, (course, _) in found.items()}
    own = times.get("ours")
    rows: dict[str, dict[str, Figure]] = {}
    for name, (course, _) in found.items():
        reached = times[name]
        rows[name] = {
            "steps": reached[0] if reached else f"> {course.steps}",
            "seconds": reached[1] if reached else f"> {course.prepared + course.seconds:.0f}",
            "of them before step 1": course.prepared,
            "last EM": course.examinations[-1][2] if course.examinations else "",
            "ours is faster by": reached[1] / own[1] if reached and own else "",
        }
    return rows


def work_table(found: Mapping[str, tuple[Course, int]], tokens: float, limit: float) -> dict[str, dict[str, Figure]]:
    """How fast each program's steps were, and what they cost.

    Args:
        found: Every program's course, and the highest resident memory of its process in bytes.
        tokens: Of a step, on average.
        limit: Operations a second that a large product reaches.
    """
    rows: dict[str, dict[str, Figure]] = {}
    for name, (course, memory) in found.items():
        rate = course.steps / course.seconds if course.seconds else 0.0
        rows[name] = {
            "tokens/s": rate * tokens,
            "step (s)": course.seconds / max(course.steps, 1),
            "GFLOP a step": course.products / 1e9,
            "share of limit": course.products * rate / limit,
            "peak memory (GiB)": (course.gpu_bytes or memory) / 2**30,
        }
    return rows
