"""Components that a run also trains and measures, each against its own off-switch: pictures, patches, adapters.

    @_part("codebook")
    def codebook(given: PartInput) -> dict[str, float]: ...

Stage ``evaluate`` calls those that ``parts.measured`` names after the model's own figures, and keeps what they return:
``codebook`` with ``usage`` becomes ``codebook.usage`` of the report too, everything ``parts.<name>``. A part that is
finished is not run again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.sleepwake_parts import PartName, PartsConfig
from pipeline.progress import Progress
from pipeline.sleepwake.text import Corpus


@dataclass(frozen=True)
class PartInput:
    """What a part may look at.

    Attributes:
        config: Section ``parts``.
        corpus: Base text in its parts.
        seed: Of the run.
        device: ``cpu`` or ``cuda``.
        progress: Reports parts of the work.
        codebook: Weights that stage ``pretrain_codebook`` wrote, if part ``codebook`` is asked for.
    """

    config: PartsConfig
    corpus: Corpus
    seed: int
    device: str
    progress: Progress
    codebook: Path


Part = Callable[[PartInput], dict[str, float]]
PARTS: dict[PartName, Part] = {}
"""Every part by its name."""


def _part(name: PartName) -> Callable[[Part], Part]:
    def register(part: Part) -> Part:
        PARTS[name] = part
        return part

    return register


@_part("codebook")
def _codebook(given: PartInput) -> dict[str, float]:
    from pipeline.sleepwake.codebook import load_codebook
    from pipeline.sleepwake.codebook_measures import images_of, measure_codebook

    config = given.config.codebook
    book = load_codebook(config, given.codebook, given.device)
    return measure_codebook(book, images_of(config), config, given.device, given.progress)


@_part("pictures")
def _pictures(given: PartInput) -> dict[str, float]:
    from pipeline.sleepwake.picture_measures import measure_pictures

    return measure_pictures(given.config.pictures, given.seed, given.device, given.progress)


@_part("patches")
def _patches(given: PartInput) -> dict[str, float]:
    from pipeline.sleepwake.latent_measures import measure_latent

    return measure_latent(given.config.patches, given.corpus, given.seed, given.device, given.progress)


@_part("experts")
def _experts(given: PartInput) -> dict[str, float]:
    from pipeline.sleepwake.expert_measures import measure_experts

    return measure_experts(given.config.experts, given.seed, given.device, given.progress)


@_part("arithmetic")
def _arithmetic(given: PartInput) -> dict[str, float]:
    from pipeline.sleepwake.arithmetic_measures import measure_arithmetic

    return measure_arithmetic(given.config.arithmetic, given.seed, given.device, given.progress)
