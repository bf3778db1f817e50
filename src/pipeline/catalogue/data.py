"""Public data sets that suites and benchmarks read: text as plain files below ``$ENGRAM_DATA``, images as Parquet."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.artifacts import write_bytes
from pipeline.catalogue.hub import Load, Row, data_root, load_rows
from pipeline.errors import ConfigError, DataError
from pipeline.images import idx_folder, prepare_images, prepared_folder
from pipeline.language.models import cache_folder

_TOFU_ROWS, _TOFU_PER_AUTHOR = 3200, 20  # authors 1 to 160; the last 40 are TOFU's own forgetting splits
_SQUAD_PASSAGES = 300


@dataclass(frozen=True)
class DataSet:
    """One public data set.

    Attributes:
        name: Its folder below ``$ENGRAM_DATA``.
        holds: What it contains.
        source: Where it is published, with its licence.
        files: Files that Engram reads.
        fetch: Makes those files from the hub; None when they have to be placed by hand.
        images: Whether `pipeline.images` prepares it instead.
    """

    name: str
    holds: str
    source: str
    files: tuple[str, ...]
    fetch: Callable[[Load], dict[str, list[dict[str, Any]]]] | None = None
    images: bool = False

    @property
    def folder(self) -> Path | None:
        """Where it lies, if every file is there; images prepared, or else as idx files."""
        if self.images:
            return prepared_folder(self.name) or idx_folder(self.name)
        root = data_root()
        if root is None or not all((root / self.name / file).is_file() for file in self.files):
            return None
        return root / self.name


def _tofu(load: Load) -> dict[str, list[dict[str, Any]]]:
    """Questions and answers with their author, and their paraphrases."""
    name = "locuslab/TOFU"
    full = list(load(name, "full", "train"))[:_TOFU_ROWS]
    rows = [
        {"author": i // _TOFU_PER_AUTHOR + 1, "row": i, "question": row["question"], "answer": row["answer"]}
        for i, row in enumerate(full)
    ]
    keys = ("question", "answer", "paraphrased_answer", "paraphrased_question", "perturbed_answer")
    authors = {row["question"]: row["author"] for row in rows}
    paraphrased = [
        {**_kept(row, keys), **({"author": authors[row["question"]]} if row["question"] in authors else {})}
        for row in load(name, "retain_perturbed", "train")
    ]
    world = [
        _kept(row, ("question", "answer", "perturbed_answer")) for row in load(name, "world_facts_perturbed", "train")
    ]
    return {"qa.jsonl": rows, "paraphrase.jsonl": paraphrased, "world_facts.jsonl": world}


def _squad(load: Load) -> dict[str, list[dict[str, Any]]]:
    """The first passages of the development set with their questions."""
    passages: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in load("rajpurkar/squad", None, "validation"):
        key = (str(row["title"]).replace("_", " "), str(row["context"]))
        passages[key].append({"question": row["question"], "answer": row["answers"]["text"][0]})
    rows = [{"title": title, "context": context, "questions": asked} for (title, context), asked in passages.items()]
    return {"passages.jsonl": rows[:_SQUAD_PASSAGES]}


def _kept(row: Row, keys: Iterable[str]) -> dict[str, Any]:
    return {key: row[key] for key in keys if key in row}


DATA_SETS: tuple[DataSet, ...] = (
    DataSet("tofu", "fictitious authors, 20 questions each", "locuslab/TOFU on the hub, MIT",
            ("qa.jsonl", "paraphrase.jsonl", "world_facts.jsonl"), _tofu),
    DataSet("squad", "Wikipedia passages with questions", "rajpurkar/squad on the hub, CC BY-SA 4.0",
            ("passages.jsonl",), _squad),
    DataSet("triples", "facts in ten relations",
            "half of experiments/data/fact_pool_500.json in vbario/sleeping-llm, MIT", ("facts.jsonl",)),
    DataSet("mnist", "handwritten digits", "ylecun/mnist on the hub, CC BY-SA 3.0", (), images=True),
    DataSet("fashion-mnist", "pictures of clothing", "zalando-datasets/fashion_mnist on the hub, MIT", (), images=True),
    DataSet("text", "plays, for byte-level models", "tinyshakespeare in karpathy/char-rnn, public domain",
            ("tinyshakespeare.txt",)),
)  # fmt: skip


def data_set(name: str) -> DataSet:
    """The data set of that name.

    Raises:
        ConfigError: There is none.
    """
    for entry in DATA_SETS:
        if entry.name == name:
            return entry
    raise ConfigError(f"unknown data set {name!r}; there are: {', '.join(entry.name for entry in DATA_SETS)}")


def located(name: str, load: Load | None = None) -> Path:
    """The folder of a text data set: below ``$ENGRAM_DATA``, else in the cache, else fetched from the hub into it.

    Args:
        name: One of `DATA_SETS`, no image set.
        load: Replaces `datasets.load_dataset`.

    Raises:
        DataError: It is nowhere, and cannot be fetched.
    """
    entry, cache = data_set(name), cache_folder() / "data"
    for root in (data_root(), cache):
        if root is not None and all((root / name / file).is_file() for file in entry.files):
            return root / name
    remedy = f"put {', '.join(entry.files)} into the folder {name} below $ENGRAM_DATA ({data_root() or 'not set'})"
    if entry.fetch is None:
        raise DataError(f"data set {name} is not here: {remedy}; source: {entry.source}")
    try:
        return pull(name, cache, load)
    except DataError as error:
        raise DataError(
            f"data set {name} is not here: {remedy}, or run `engram data pull {name}` where there is a network; {error}"
        ) from None


def pull(name: str, root: Path | None = None, load: Load | None = None) -> Path:
    """Fetch a data set and write its files, each atomically.

    Args:
        name: One of `DATA_SETS`.
        root: Folder that receives ``<name>/``; None is ``$ENGRAM_DATA``. Images go into ``images/<name>/``, and None is
            the cache folder.
        load: Replaces `datasets.load_dataset`.

    Raises:
        ConfigError: The name is unknown, or no folder is given.
        DataError: It cannot be fetched: no network, or it has to be placed by hand.
    """
    entry = data_set(name)
    if entry.images:
        return prepare_images(name, root, load=load).folder
    target = root or data_root()
    if target is None:
        raise ConfigError("no folder to write to: set ENGRAM_DATA, or add --to DIR")
    if entry.fetch is None:
        files = ", ".join(entry.files)
        raise DataError(f"{name} has to be placed by hand: put {files} into {target / name}, from {entry.source}")
    for file, rows in entry.fetch(load or load_rows).items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_bytes(target / name / file, lines.encode())
    return target / name
