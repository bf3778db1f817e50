"""Variants of a sweep: every combination once, names that are paths, settings that take effect."""

from __future__ import annotations

from pipeline.config import NeedleConfig, load_config
from pipeline.needle.sweep import over_variants, variants


def test_every_combination_of_every_profile_is_trained_over_every_seed() -> None:
    config = load_config("needle/adaptive-lambda-sweep")
    assert isinstance(config, NeedleConfig)
    found = variants(config)
    assert len(found) == 3 * (4 * 2 * 2 * 2 * 3 + 1)
    files = {variant.file for variant in found}
    assert len(files) == len(found) and not any(set(file) & set("/ =,") for file in files)
    first = found[0].of(config)
    assert first.seed == 1337 and first.data.length == 256 and not first.sweep.profiles
    assert first.nce.nce_lambda_max == 0.05 and first.nce.lambda_end == 0.05 and first.nce.nce_read_target == 0.42
    (closed, *_) = [variant for variant in found if variant.name == "len512-no-gate"]
    assert closed.of(config).nce.nce_gate_start_epoch > config.train.epochs


def test_means_are_over_seeds() -> None:
    told = over_variants({"a": {1: {"accuracy": 0.5}, 2: {"accuracy": 0.7}}, "b": {1: {"accuracy": 0.1}}})
    assert told["a"]["accuracy"]["mean"] == 0.6 and told["a"]["accuracy"]["n"] == 2
    low, high = told["a"]["accuracy"]["interval"]
    assert low < 0.5 < 0.7 < high and told["b"]["accuracy"]["interval"] is None
