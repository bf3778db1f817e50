"""One generation over several processes, with the answers that one process gives.

The caller writes the prompts and a job that names them, the model, the adapter and the settings by path and digest.
Every shard reads the job, checks each digest, loads the model, decodes its share of the batches (`generate_share`) and
writes its answers; the caller checks their digests and puts them in order. Batches are those of all prompts, so on
processors of one kind, with as many threads each, the answers do not depend on how many shards there are.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from pipeline import errors
from pipeline.artifacts import digest_file, digest_json, digest_tree, read_json, read_table, write_json, write_table
from pipeline.config.language import ModelConfig
from pipeline.config.sharding import ShardingConfig
from pipeline.errors import ArtifactError, ConfigError, EngramError, ModelError, ServiceError
from pipeline.executors import Executor, executor_class
from pipeline.language.generation import Decoding, Generation, count_batches, generate_share
from pipeline.language.models import LanguageModel, load_model

PROMPTS, ANSWERS, JOB = "prompts/1", "shard-answers/1", "job.json"


@dataclass(frozen=True)
class Shards:
    """Where and by whom generations are shared.

    Attributes:
        count: Shares of a generation.
        executor: Runs them.
        folder: Of the jobs; every process sees it at this path.
    """

    count: int
    executor: Executor
    folder: Path


@contextmanager
def opened_shards(config: ShardingConfig, folder: Path) -> Iterator[Shards | None]:
    """Processes for the generations of a stage, started when the first one comes; None where one process does all.

    Args:
        config: Section ``sharding``.
        folder: Of the stage; ``shards`` below it holds the jobs that are under way.

    Raises:
        ConfigError: There is no such executor, or it cannot work here.
    """
    place, kind = folder.absolute() / "shards", executor_class(config.executor)
    shutil.rmtree(place, ignore_errors=True)  # of an attempt that was killed
    if config.shards == 1:
        yield None
        return
    executor = kind(config.shards, config.address)
    try:
        yield Shards(config.shards, executor, place)
    finally:
        executor.close()
        shutil.rmtree(place, ignore_errors=True)


def shared(lm: LanguageModel, shards: Shards | None) -> LanguageModel:
    """The same model with its generations spread over shards; with None, as it is.

    Raises:
        ConfigError: It is on a GPU, which decodes its batches alone.
    """
    if shards is not None and lm.device.type != "cpu":
        raise ConfigError(
            f"sharding.shards={shards.count} spreads answers over processes on CPUs, but the model is on a GPU "
            f"({lm.device}); set sharding.shards=1, or model.device=cpu"
        )
    return replace(lm, shards=shards)


def generate_in_shards(
    lm: LanguageModel,
    shards: Shards,
    prompts: Sequence[str],
    against: Sequence[str] | None,
    decoding: Decoding,
    progress: Callable[[int], None] | None,
) -> list[Generation]:
    """Greedy answers in order, as `pipeline.language.generation.generate` gives them in one process.

    Args:
        lm: The model; a shard loads it from where it came from.
        shards: Where the work goes; a generation of one batch stays here.
        prompts: Rendered strings.
        against: The counterpart of each prompt, or None.
        decoding: The settings.
        progress: Called with the number of answers of every shard that ends.

    Raises:
        EngramError: What a shard raised, for example ModelError where it finds another model.
        ServiceError: A process died, or failed otherwise.
        ArtifactError: What a shard wrote is not what arrived.
    """
    count = min(shards.count, count_batches(lm, prompts, against, decoding))
    if count <= 1:
        found = generate_share(lm, prompts, against, decoding, progress=progress)
        return [found[i] for i in range(len(prompts))]
    folder, digest = _write_job(lm, shards.folder, prompts, against, decoding, count)
    answers: dict[int, Generation] = {}
    for told in shards.executor.run(generate_shard, [(str(folder), digest, number) for number in range(count)]):
        share = _read_share(folder, told, count)
        answers |= share
        if progress:
            progress(len(share))
    if sorted(answers) != list(range(len(prompts))):
        raise ArtifactError(f"{folder}: expected answers to {len(prompts)} prompts, found {len(answers)}; run again")
    shutil.rmtree(folder, ignore_errors=True)
    return [answers[i] for i in range(len(prompts))]


def generate_shard(folder: str, digest: str, number: int) -> dict[str, Any]:
    """One shard, in a process of its own: answers to its share of a job, as a file beside it.

    Args:
        folder: Of the job.
        digest: SHA-256 of its ``job.json``.
        number: Of the shard, from 0.

    Returns:
        ``{number, digest}`` of what was written; ``{number, error, message}`` where it failed.
    """
    try:
        job = _read_job(Path(folder), digest)
        table = read_table(Path(folder) / "prompts.parquet", PROMPTS)
        lm = _loaded(**job["model"])
        against = table.column("against").to_pylist() if job["contrasted"] else None
        share = (number, job["shards"])
        found = generate_share(lm, table.column("prompt").to_pylist(), against, Decoding(**job["decoding"]), share)
        rows = [{"prompt": index, **vars(made)} for index, made in sorted(found.items())]
        path = _answers_path(Path(folder), number)
        write_table(path, pa.Table.from_pylist(rows), ANSWERS, "")
        return {"number": number, "digest": digest_file(path)}
    except EngramError as error:
        return {"number": number, "error": type(error).__name__, "message": str(error)}
    except Exception as error:  # told as text: an exception of a library need not survive another process
        return {"number": number, "error": "", "message": f"{type(error).__name__}: {error}"}


def _answers_path(folder: Path, number: int) -> Path:
    return folder / f"answers-{number}.parquet"


def _write_job(
    lm: LanguageModel,
    place: Path,
    prompts: Sequence[str],
    against: Sequence[str] | None,
    decoding: Decoding,
    count: int,
) -> tuple[Path, str]:
    """The folder of a new job, and the digest of its ``job.json``."""
    columns = {"prompt": list(prompts), "against": list(against or prompts)}
    table = pa.table(columns)
    model = {
        "name": str(lm.folder) if Path(lm.name).expanduser().is_dir() else lm.name,
        "digest": lm.digest,
        "dtype": str(lm.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "adapter": str(lm.adapter.absolute()) if lm.adapter else None,
        "adapter_digest": digest_tree(lm.adapter) if lm.adapter else None,
    }
    told = {"decoding": asdict(decoding), "model": model, "shards": count, "contrasted": against is not None}
    folder = place / digest_json([told, columns])[:16]
    shutil.rmtree(folder, ignore_errors=True)
    write_table(folder / "prompts.parquet", table, PROMPTS, "")
    write_json(folder / JOB, told | {"prompts": digest_file(folder / "prompts.parquet")})
    return folder, digest_file(folder / JOB)


def _read_job(folder: Path, digest: str) -> dict[str, Any]:
    _check_digest(folder / JOB, digest)
    job: dict[str, Any] = read_json(folder / JOB)
    _check_digest(folder / "prompts.parquet", job["prompts"])
    return job


def _check_digest(path: Path, digest: str) -> None:
    if (found := digest_file(path)) != digest:
        raise ArtifactError(f"{path}: expected digest {digest[:16]}…, found {found[:16]}…; run the same command again")


def _read_share(folder: Path, told: dict[str, Any], count: int) -> dict[int, Generation]:
    """A shard's answers by the index of their prompts."""
    shard = f"shard {told['number'] + 1} of {count}"
    if "error" in told:
        kind = getattr(errors, told["error"], None) if told["error"] else None
        raise (kind or ServiceError)(f"{shard}: {told['message']}")
    path = _answers_path(folder, told["number"])
    _check_digest(path, told["digest"])
    rows = read_table(path, ANSWERS).to_pylist()
    return {row.pop("prompt"): Generation(**row) for row in rows}


@lru_cache(maxsize=2)  # the base, and the model of the arm that is asked
def _loaded(
    name: str, digest: str, dtype: str, threads: int, adapter: str | None, adapter_digest: str | None
) -> LanguageModel:
    """The model of a job, kept for the next one.

    Raises:
        ModelError: It is not here, or not the same.
        ArtifactError: The adapter is not the same.
    """
    from pipeline.language.adapter import load_adapter

    if adapter is not None:
        if digest_tree(Path(adapter)) != adapter_digest:
            raise ArtifactError(f"{adapter}: another adapter than the caller's; is the folder shared with every host?")
        return load_adapter(_loaded(name, digest, dtype, threads, None, None), Path(adapter))
    settings = {"name": name, "dtype": dtype, "device": "cpu", "threads": threads}
    lm = load_model(ModelConfig.model_validate(settings))
    if lm.digest != digest:
        raise ModelError(f"the model {name!r} has digest {lm.digest} here and {digest} at the caller; install the same")
    return lm
