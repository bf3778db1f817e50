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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts.footprint import peak_memory_bytes
from pipeline.bench.isolation import in_own_process
from pipeline.bench.registry import Figure, Figures, register_benchmark

if TYPE_CHECKING:
    from pipeline.artifacts import GenerationStore
    from pipeline.config.benchmarks import StoreBenchConfig
    from pipeline.stores import EncoderIdentity, Episode
    from pipeline.stores.records import Records

SESSION = "bench"
_BLOCK = 1 << 16  # rows made at once
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


# -- data ------------------------------------------------------------------------------------------------------------


def prepare(config: StoreBenchConfig, rows: int, folder: Path) -> None:
    """Write keys (rows, dimension), gate scores (rows,) and queries (m, dimension), block by block."""
    generator = np.random.default_rng(config.seed)
    width = config.dimension
    centres = generator.standard_normal((config.clusters, width), dtype=np.float32)
    keys = np.lib.format.open_memmap(folder / "keys.npy", "w+", np.float32, (rows, width))
    for first in range(0, rows, _BLOCK):
        block = keys[first : first + _BLOCK]
        block[:] = centres[generator.integers(0, config.clusters, len(block))]
        block += generator.standard_normal(block.shape, dtype=np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    np.save(folder / "scores.npy", generator.random(rows))
    asked = keys[np.sort(generator.integers(0, rows, config.queries))]
    asked = asked + 0.6 / width**0.5 * generator.standard_normal(asked.shape, dtype=np.float32)
    np.save(folder / "queries.npy", asked / np.linalg.norm(asked, axis=1, keepdims=True))


def _made(folder: Path, name: str) -> NDArray[Any]:
    found: NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r")
    return found


def text_of(number: int) -> str:
    """An event of ordinary length, another one for every number."""
    return (
        f"On day {number % 365} visitor {number} of the harbour bought lantern {number % 997} at stall {number % 89}."
    )


def _rows(scores: NDArray[np.float64], first: int = 0) -> list[Episode]:
    from pipeline.stores import Episode

    return [
        Episode(
            f"e{first + i}",
            SESSION,
            text_of(first + i),
            digest=f"{first + i:064x}",
            gate_score=score,
            accepted=True,
            salience=score,
            novelty=score,
        )
        for i, score in enumerate(scores.tolist())
    ]


def _candidates(scores: NDArray[np.float64]) -> Records[Episode]:
    """All episodes as columns, made block by block."""
    import pyarrow as pa

    from pipeline.stores import Episode
    from pipeline.stores.records import Records

    blocks = range(0, len(scores), _BLOCK)
    made = (Records.of(Episode, _rows(scores[first : first + _BLOCK], first)) for first in blocks)
    return Records(Episode, pa.concat_tables([records.table for records in made]))


def _identity(config: StoreBenchConfig) -> EncoderIdentity:
    from pipeline.stores import EncoderIdentity

    return EncoderIdentity("none", "0" * 64, config.dimension)


def _generations(folder: Path) -> GenerationStore:
    from pipeline.artifacts import GenerationStore

    return GenerationStore.of(folder, SESSION, "episodic")


# -- ours ------------------------------------------------------------------------------------------------------------


def persist_ours(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """Load keys and scores into an empty store, and publish it."""
    from pipeline.stores import EpisodicStore, save

    settings = config.store.model_copy(update={"max_items": rows + _NEW})
    keys, scores = _made(folder, "keys"), _made(folder, "scores")
    before = peak_memory_bytes()
    start = time.perf_counter()
    filled = EpisodicStore(SESSION, settings, _identity(config))
    filled.write(filled.candidates(_candidates(scores), keys), enforce=True)
    loaded = time.perf_counter()
    generation = save(filled, _generations(folder))
    persisted = time.perf_counter()
    size = sum(file.bytes for file in generation.manifest.files)
    return {"persist (s)": persisted - loaded, "load (s)": loaded - start, "files (GB)": size / 1e9, "at start": before}


def recall_ours(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """Open the newest generation in a fresh process, and ask it."""
    from pipeline.stores import load

    settings = config.store.model_copy(update={"max_items": rows + _NEW})
    queries = np.array(_made(folder, "queries"))
    before = peak_memory_bytes()
    start = time.perf_counter()
    opened = load(_generations(folder), SESSION, settings, _identity(config))
    ready = time.perf_counter()
    opened.recall(queries[:1], config.k)
    first = time.perf_counter()
    for number in range(len(queries)):
        opened.recall(queries[number : number + 1], config.k)
    done = time.perf_counter()
    return {
        "reopen (s)": ready - start,
        "first recall (s)": first - ready,
        "recall (ms)": 1000 * (done - first) / len(queries),
        "at start": before,
    }


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
    vectors = -np.array(_made(folder, "keys")[:_NEW])
    before = peak_memory_bytes()
    start = time.perf_counter()
    opened = load(_generations(folder), SESSION, settings, _identity(config))
    opened.decay()
    opened.prune()
    opened.write(opened.candidates(_rows(np.ones(_NEW), rows), vectors), enforce=True)
    save(opened, _generations(folder))
    return {"one more night (s)": time.perf_counter() - start, "at start": before}


# -- DuckDB ----------------------------------------------------------------------------------------------------------


def persist_duckdb(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """The same columns into one table of one database file, durable at the end."""
    import duckdb
    import pyarrow as pa

    keys, scores = _made(folder, "keys"), _made(folder, "scores")
    before = peak_memory_bytes()
    start = time.perf_counter()
    path = folder / "peer.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"SET threads=1; SET memory_limit='{config.duckdb_memory}'")
        connection.execute(
            "CREATE TABLE episodes (id VARCHAR, session VARCHAR, text VARCHAR, digest VARCHAR, score DOUBLE, "
            f"key FLOAT[{config.dimension}])"
        )
        for first in range(0, rows, _BLOCK):
            block = slice(first, first + _BLOCK)
            made = _rows(scores[block], first)
            batch = pa.table(
                {
                    "id": [row.episode_id for row in made],
                    "session": [row.session for row in made],
                    "text": [row.text for row in made],
                    "digest": [row.digest for row in made],
                    "score": [row.gate_score for row in made],
                    "key": pa.FixedSizeListArray.from_arrays(np.array(keys[block]).reshape(-1), config.dimension),
                }
            )
            connection.register("batch", batch)
            connection.execute("INSERT INTO episodes SELECT * FROM batch")
        connection.execute("CHECKPOINT")
    return {
        "persist (s)": time.perf_counter() - start,
        "files (GB)": path.stat().st_size / 1e9,
        "at start": before,
    }


def recall_duckdb(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """Open the file, and order by exact cosine; a tenth of the queries, for each reads every key."""
    import duckdb

    queries = np.array(_made(folder, "queries"))[: max(1, config.queries // 10)]
    before = peak_memory_bytes()
    start = time.perf_counter()
    connection = duckdb.connect(str(folder / "peer.duckdb"), read_only=True)
    connection.execute(f"SET threads=1; SET memory_limit='{config.duckdb_memory}'")
    ready = time.perf_counter()
    question = (
        f"SELECT id, text FROM episodes ORDER BY array_cosine_similarity(key, ?::FLOAT[{config.dimension}]) DESC "
        f"LIMIT {config.k}"
    )
    connection.execute(question, [queries[0].tolist()]).fetchall()
    first = time.perf_counter()
    for query in queries:
        connection.execute(question, [query.tolist()]).fetchall()
    done = time.perf_counter()
    return {
        "reopen (s)": ready - start,
        "first recall (s)": first - ready,
        "recall (ms)": 1000 * (done - first) / len(queries),
        "at start": before,
    }


def sample_duckdb(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """Weighted, without replacement, by the same keys: -ln(u) / w, the smallest win."""
    import duckdb

    before = peak_memory_bytes()
    start = time.perf_counter()
    with duckdb.connect(str(folder / "peer.duckdb"), read_only=True) as connection:
        connection.execute(f"SET threads=1; SET memory_limit='{config.duckdb_memory}'")
        connection.execute(
            "SELECT id FROM episodes WHERE score > 0 ORDER BY -ln(random()) / score LIMIT ?", [config.replay.max_items]
        ).fetchall()
    return {"sample (s)": time.perf_counter() - start, "at start": before}


# -- faiss -----------------------------------------------------------------------------------------------------------


def persist_faiss(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """Keys alone, in a flat index."""
    import faiss

    keys = _made(folder, "keys")
    before = peak_memory_bytes()
    start = time.perf_counter()
    index = faiss.IndexFlatIP(config.dimension)
    for first in range(0, rows, _BLOCK):
        index.add(np.array(keys[first : first + _BLOCK]))
    path = folder / "peer.faiss"
    faiss.write_index(index, str(path))
    return {"persist (s)": time.perf_counter() - start, "files (GB)": path.stat().st_size / 1e9, "at start": before}


def recall_faiss(config: StoreBenchConfig, rows: int, folder: Path) -> dict[str, Figure]:
    """Read the index, and compare every query with every key."""
    import faiss

    faiss.omp_set_num_threads(1)
    queries = np.array(_made(folder, "queries"))
    before = peak_memory_bytes()
    start = time.perf_counter()
    index = faiss.read_index(str(folder / "peer.faiss"))
    ready = time.perf_counter()
    index.search(queries[:1], config.k)
    first = time.perf_counter()
    for number in range(len(queries)):
        index.search(queries[number : number + 1], config.k)
    done = time.perf_counter()
    return {
        "reopen (s)": ready - start,
        "first recall (s)": first - ready,
        "recall (ms)": 1000 * (done - first) / len(queries),
        "at start": before,
    }
