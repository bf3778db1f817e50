"""From a configuration to its model, its device and its splits."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.needle import NeedleConfig
from pipeline.config.needle_task import DataConfig
from pipeline.needle.examples import TensorExamples
from pipeline.needle.layout import Layout
from pipeline.needle.model import NeedleModel
from pipeline.needle.tasks.registry import task_of
from pipeline.needle.tasks.tables import batch_of, read_split
from pipeline.needle.tasks.task import Split


def layout_of(config: NeedleConfig) -> Layout:
    """Tokens of the task."""
    layout = task_of(config.data).layout
    return Layout(**layout)  # type: ignore[arg-type]


def new_model(config: NeedleConfig, device: str) -> NeedleModel:
    """The model before any training; the flow's seed decides its weights."""
    model = NeedleModel(config.model, config.emma, config.memory, config.read, layout_of(config), config.seed)
    return model.to(device)


def splits_of(config: DataConfig) -> dict[str, tuple[Split, DataConfig]]:
    """Every split by its name: train, val and test, and the test at other lengths and with other numbers of needles."""
    found: dict[str, tuple[Split, DataConfig]] = {"train": ("train", config), "val": ("val", config)}
    found["test"] = ("test", config)
    found |= {f"test_length_{length}": ("test", config.at(length=length)) for length in others(config, "length")}
    found |= {f"test_pairs_{pairs}": ("test", config.at(n_pairs=pairs)) for pairs in others(config, "n_pairs")}
    return found


def others(config: DataConfig, what: str) -> list[int]:
    """Lengths or numbers of needles, other than the trained one, that are tested; ascending."""
    asked = config.test_lengths if what == "length" else config.test_pairs
    return sorted(set(asked) - {getattr(config, what)})


def made(config: DataConfig, seed: int, split: Split, device: str = "cpu") -> TensorExamples:
    """A split that is made anew."""
    return TensorExamples(batch_of(task_of(config).examples(seed, split)), device)


def stored(folder: Path, name: str, device: str) -> TensorExamples:
    """A split that stage ``persist_store`` wrote.

    Raises:
        ArtifactError: It is missing or torn.
    """
    return TensorExamples(batch_of(read_split(folder / f"{name}.parquet")), device)
