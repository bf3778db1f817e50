"""The adapter that all guards let pass last: the version behind the registry's alias ``champion``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.artifacts import RunFolder, load
from pipeline.artifacts.stages import MANIFEST
from pipeline.config import ModelConfig, TrackingConfig
from pipeline.errors import ModelError
from pipeline.tracking.registry import SLOW

ADAPTER = Path("lora_train") / "adapter"  # below a run's folder
WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Champion:
    """The promoted adapter.

    Attributes:
        version: In the registry.
        adapter: Its folder.
        run: The run that trained it, while it is still there.
        slow: Folder of the slow average of the adapters up to this one, where a continuing night left it.
    """

    version: int
    adapter: Path
    run: RunFolder | None
    slow: Path | None = None


def adapter_name(model: ModelConfig) -> str:
    """Name under which adapters of a base model are registered; each base has its own champion."""
    return "engram-" + re.sub(r"[^A-Za-z0-9.-]+", "-", model.name).strip("-")


def find_champion(
    root: Path, model: ModelConfig | None = None, tracking: TrackingConfig | None = None
) -> Champion | None:
    """The champion of a base model; None before the first promotion, or with tracking off.

    Args:
        root: Artifact root.
        model: The base; None is the embedded one.
        tracking: Where the registry lies; None is the default below ``root``.

    Raises:
        ArtifactError: Its files are gone, or differ from what was registered.
        ServiceError: The registry cannot be opened.
    """
    from pipeline.tracking.registry import champion_path, champion_slow, champion_version
    from pipeline.tracking.store import open_client, quietly, tracking_uri

    where = tracking or TrackingConfig()
    uri = tracking_uri(where, root)
    if not where.enabled or (uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file()):
        return None
    client = open_client(uri)
    name = adapter_name(model or ModelConfig())
    with quietly(uri):
        version = champion_version(client, name)
        adapter = champion_path(client, root, name)
        slow = champion_slow(client, root, name)
    if version is None or adapter is None:
        return None
    return Champion(version, adapter, run_around(adapter), slow)


def adapter_of(run: RunFolder) -> Path:
    """Folder of the adapter that a run trained.

    Raises:
        ModelError: It has trained none yet.
        ArtifactError: A file differs from what the run published.
    """
    adapter = run.path / ADAPTER
    if not (adapter / WEIGHTS).is_file():
        raise ModelError(f"run {run.run_id} has no adapter yet ({adapter / WEIGHTS} is missing); resume the run first")
    if (manifest := adapter.parent / MANIFEST).is_file():
        load(manifest)
    return adapter


def find_slow(adapter: Path) -> Path | None:
    """The slow average over nights that a continuing one left beside its adapter; None where there is none."""
    slow = adapter.parent / SLOW
    return slow if (slow / WEIGHTS).is_file() else None


def need_slow(slow: Path | None, name: str) -> Path:
    """The slow average of the adapter that is called so.

    Raises:
        ModelError: It has none.
    """
    if slow is None:
        raise ModelError(
            f"{name} has no slow average: nights that continue a champion (fresh=false) keep one while "
            "lora.slow_decay is above 0"
        )
    return slow


def run_around(adapter: Path) -> RunFolder | None:
    """The run whose adapter lies in that folder (``<run>/lora_train/adapter``), if it is one's."""
    run = adapter.resolve().parent.parent
    return RunFolder.at(run) if (run / "config.yaml").is_file() and (run / "manifest.json").is_file() else None
