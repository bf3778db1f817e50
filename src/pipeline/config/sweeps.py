"""A sweep: one deployment under several named sets of settings, each over several seeds (configs/sweeps/*.yaml)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from pipeline.config.loading import config_root, load_section
from pipeline.config.section import Name, Section
from pipeline.errors import ConfigError


class VariantConfig(Section):
    """What one variant changes."""

    target: str | None = Field(None, description="FLOW/DEPLOYMENT; null is the sweep's")
    settings: dict[str, Any] = Field({}, description="value by dotted key, as of --set; they win over the sweep's")
    baseline: Name | None = Field(None, description="variant whose held-out EM is subtracted from its own, by seed")


class SweepConfig(Section):
    """Which variants are run, and what their figures are drawn against."""

    title: str = Field(description="what is compared, in a few words")
    target: str = Field(description="FLOW/DEPLOYMENT that every variant changes")
    settings: dict[str, Any] = Field({}, description="value by dotted key, as of --set; the same for every variant")
    seeds: tuple[int, ...] = Field((1337, 1338, 1339), min_length=1, description="one run each of every variant")
    axis: str | None = Field(
        None, description="dotted key of a number, drawn as lines on a logarithmic axis; null draws bars"
    )
    variants: dict[Name, VariantConfig] = Field(min_length=1, description="by name, in the order of the table")

    @model_validator(mode="after")
    def _baselines_are_variants(self) -> Self:
        for name, variant in self.variants.items():
            others = [other for other in self.variants if other != name]
            if variant.baseline is not None and variant.baseline not in others:
                raise ValueError(f"{name}.baseline: expected one of {', '.join(others)}, found {variant.baseline!r}")
        return self


def load_sweep(reference: str) -> tuple[str, SweepConfig]:
    """A sweep's name and configuration.

    Args:
        reference: A YAML file, or the name of one in ``configs/sweeps``.

    Raises:
        ConfigError: There is no such file, or it holds something else; the message names file and line.
    """
    path = Path(reference)
    if path.suffix not in (".yaml", ".yml"):
        folder = config_root() / "sweeps"
        path = folder / f"{reference}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
            raise ConfigError(f"unknown sweep {reference!r}; expected a YAML file, or one of: {known}")
    return path.stem, load_section(SweepConfig, path)


def as_overrides(settings: dict[str, Any]) -> tuple[str, ...]:
    """Settings as ``--set`` takes them; JSON values are YAML."""
    return tuple(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in settings.items())
