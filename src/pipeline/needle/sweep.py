"""Other settings beside the model's: every profile with every combination of the grid, over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.config.needle import NeedleConfig
from pipeline.needle.building import made
from pipeline.needle.course import Course
from pipeline.needle.evaluation import evaluate
from pipeline.needle.measures import measures
from pipeline.report.repeat import over_seeds


@dataclass(frozen=True)
class Variant:
    """One training of the sweep.

    Attributes:
        name: Of the profile, with the grid's values.
        seed: Of data, weights and order.
        settings: What it changes, by dotted key.
    """

    name: str
    seed: int
    settings: Mapping[str, Any]

    @property
    def file(self) -> str:
        """A name that is part of a path."""
        return f"{self.name.replace('=', '-').replace(', ', '_').replace(' ', '_')}_{self.seed}"

    def of(self, config: NeedleConfig) -> NeedleConfig:
        """The configuration with its changes."""
        return config.changed({**self.settings, "seed": self.seed})


def variants(config: NeedleConfig) -> list[Variant]:
    """Every training of the sweep, seeds of one variant together."""
    return [Variant(name, seed, told) for name, told in config.sweep_settings() for seed in config.sweep.seeds]


def trained_variant(
    variant: Variant, config: NeedleConfig, device: str, on_epoch: Callable[[], None]
) -> dict[str, float]:
    """Train it, and ask the test questions of its own seed once."""
    own = variant.of(config)
    course = Course(own, device, made(own.data, own.seed, "train", device), made(own.data, own.seed, "val", device))
    while not course.over:
        course.epoch()
        on_epoch()
    test = made(own.data, own.seed, "test", device)
    figures, told = measures(evaluate(course.model, test, own.train.eval_batch_size)), course.summary()
    return {
        "accuracy": figures["acc"],
        "cosine_write": figures["write_cos.mean"],
        "cosine_read_clean": figures["read_cos.clean"],
        "collisions": figures["collisions.mean"],
        "open_fraction": told["open_fraction"],
        "lambda_max": told["lambda_max"],
        "significant_drops": float(told["significant_drops"]),
        "epochs": float(told["epochs"]),
    }


def over_variants(found: Mapping[str, Mapping[int, Mapping[str, float]]]) -> dict[str, dict[str, Any]]:
    """Means over seeds with Student's 95 % interval, by variant and figure.

    Args:
        found: Figures by variant and seed.
    """
    return {
        name: {
            figure: {"mean": told.mean, "interval": told.interval, "n": told.n}
            for figure, told in over_seeds(by_seed)[0].items()
        }
        for name, by_seed in found.items()
    }
