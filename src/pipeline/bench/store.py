"""``engram bench store``: up to a million episodes: load, persist, reopen, recall, sample, and one more night.

Keys and gate scores are made beforehand and lie in files, so that neither encoder nor language model is timed. Every
step runs in a process of its own, which gives its own highest memory:

    load and persist   candidates pass with the scores they have (`write`), and become a generation (`save`)
    reopen and recall  the generation is verified and opened (`load`), and asked one query after the other
    sample             what stage ``replay_sample`` does: the columns that replay reads, and one night's draw
    one more night     open, let a night of decay pass, write fifty new episodes, publish

The peers do the same job by the same data: DuckDB, a database in one file with exact cosine, and faiss's exact index,
which has keys alone. Growth is the slope of log time over log rows from the smallest to the largest store: 1 is linear.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.artifacts.footprint import peak_memory_bytes
from pipeline.bench.isolation import in_own_process
from pipeline.bench.registry import Figure, Figures, register_benchmark
from pipeline.bench.store_data import SESSION, Ask, candidates_of, episodes_of, made, prepare, timed_recall
from pipeline.bench.store_peers import persist_duckdb, persist_faiss, recall_duckdb, recall_faiss, sample_duckdb

if TYPE_CHECKING:
    from pipeline.artifacts import GenerationStore
    from pipeline.config.benchmarks import StoreBenchConfig
    from pipeline.stores import EncoderIdentity

_NEW = 50  # episodes of one more night
_PEAK = "peak memory (GiB)"

Step = Callable[["StoreBenchConfig", int, Path], dict[str, Figure]]


@register_benchmark("store", "seconds and memory of a store of a million episodes, against DuckDB and faiss")
def store(settings: Sequence[str]) -> Figures:
    """Run every step at every size.

    Args:
        settings: Overrides of configs/benchmarks/store.yaml.

    Raises:
        ConfigError: A setting is wrong.
    """
    from pipeline.config import config_root, load_section
    from pipeline.config.benchmarks import StoreBenchConfig

    config = load_section(StoreBenchConfig, config_root() / "benchmarks" / "store.yaml", settings)
    contenders: dict[str, Sequence[Step]] = {
        "ours": (persist_ours, recall_ours, sample_ours, night_ours),
        "DuckDB": (persist_duckdb, recall_duckdb, sample_duckdb),
    }
    if find_spec("faiss") is not None:
        contenders["faiss exact"] = (persist_faiss, recall_faiss)
    told: dict[str, dict[int, dict[str, float]]] = {name: {} for name in contenders}
    for rows in sorted(config.rows):
        folder = Path(tempfile.mkdtemp(prefix="engram-bench-store-", dir=config.folder))
        try:
            in_own_process(prepare, config, rows, folder)
            for name, steps in contenders.items():
                told[name][rows] = _measure(steps, config, rows, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return {name: _table(sizes) for name, sizes in told.items()}


def _measure(steps: Sequence[Step], config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for step in steps:
        (figures, seconds), memory = in_own_process(_with_cpu, step, config, rows, folder)
        title = next(iter(figures)).partition(" (")[0]
        found |= {name: float(value) for name, value in figures.items()}
        found[f"{title}: processor (s)"] = seconds
        found[f"{title}: {_PEAK}"] = memory / 2**30
        found[f"{title}: memory above start (KiB a row)"] = (memory - _at_start(figures)) / rows / 1024
    return {name: value for name, value in found.items() if name != "at start"}


def _with_cpu(step: Step, config: StoreBenchConfig, rows: int, folder: Path) -> tuple[dict[str, Figure], float]:
    """A step's figures, and the processor time of all of it: what others do meanwhile does not enter."""
    start = time.process_time()
    return step(config, rows, folder), time.process_time() - start


def _at_start(figures: Mapping[str, Figure]) -> float:
    return float(figures.get("at start", 0.0))


def _table(sizes: Mapping[int, Mapping[str, float]]) -> dict[str, dict[str, Figure]]:
    """Figures by name, a column a size, and the growth of what is measured in seconds or bytes."""
    least, most = min(sizes), max(sizes)
    table: dict[str, dict[str, Figure]] = {}
    for name in sizes[least]:
        row: dict[str, Figure] = {f"{rows:,} rows": sizes[rows][name] for rows in sizes}
        if least < most and "a row" not in name and min(sizes[least][name], sizes[most][name]) > 0:
            row["growth"] = math.log(sizes[most][name] / sizes[least][name]) / math.log(most / least)
        table[name] = row
    return table


def _identity(config: StoreBenchConfig) -> EncoderIdentity:
    from pipeline.stores import EncoderIdentity

    return EncoderIdentity("none", "0" * 64, config.dimension)


def _generations(folder: Path) -> GenerationStore:
    from pipeline.artifacts import GenerationStore

    return GenerationStore.of(folder, SESSION, "episodic")


def persist_ours(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """Load keys and scores into an empty store, and publish it."""
    from pipeline.stores import EpisodicStore, save

    settings = config.store.model_copy(update={"max_items": rows + _NEW})
    keys, scores = made(folder, "keys"), made(folder, "scores")
    before = peak_memory_bytes()
    start = time.perf_counter()
    filled = EpisodicStore(SESSION, settings, _identity(config))
    filled.write(filled.candidates(candidates_of(scores), keys), enforce=True)
    loaded = time.perf_counter()
    generation = save(filled, _generations(folder))
    persisted = time.perf_counter()
    size = sum(file.bytes for file in generation.manifest.files)
    return {"persist (s)": persisted - loaded, "load (s)": loaded - start, "files (GB)": size / 1e9, "at start": before}


def recall_ours(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """Open the newest generation in a fresh process, and ask it."""
    from pipeline.stores import load

    settings = config.store.model_copy(update={"max_items": rows + _NEW})

    def opening() -> Ask:
        opened = load(_generations(folder), SESSION, settings, _identity(config))
        return lambda query: opened.recall(query, config.k)

    return timed_recall(opening, np.array(made(folder, "queries")))


def sample_ours(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """Draw one night's replay from the newest generation."""
    from pipeline.replay.earlier import sample_night
    from pipeline.stores.episode import EPISODE_SCHEMA
    from pipeline.stores.episode_table import FIELDS

    before = peak_memory_bytes()
    start = time.perf_counter()
    generation = _generations(folder).current()
    assert generation is not None
    rows_read = generation.table("episodes", EPISODE_SCHEMA, FIELDS)
    drawn, _ = sample_night({"episodic": rows_read}, config.replay, config.seed, 0)
    seconds = time.perf_counter() - start
    if drawn.num_rows != min(rows, config.replay.max_items):
        raise ValueError(f"expected {config.replay.max_items} draws, found {drawn.num_rows}")
    return {"sample (s)": seconds, "at start": before}


def night_ours(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """Open, decay, write fifty new episodes, publish the next generation."""
    from pipeline.stores import load, save

    settings = config.store.model_copy(update={"max_items": rows + _NEW})
    vectors = -np.array(made(folder, "keys")[:_NEW])
    before = peak_memory_bytes()
    start = time.perf_counter()
    opened = load(_generations(folder), SESSION, settings, _identity(config))
    opened.decay()
    opened.prune()
    opened.write(opened.candidates(episodes_of(np.ones(_NEW), rows), vectors), enforce=True)
    save(opened, _generations(folder))
    return {"one more night (s)": time.perf_counter() - start, "at start": before}
