"""What the orchestrator refuses, and that it refuses nothing that a configuration takes."""

from __future__ import annotations

import re

import pytest

from pipeline.config import ColumnsConfig, ConsolidationConfig, load_config, override_pattern
from pipeline.errors import ConfigError

NIGHT = re.compile(override_pattern(ConsolidationConfig))
COLUMNS = re.compile(override_pattern(ColumnsConfig))

GOOD = [
    "suite.n=8",
    "seed=2025",
    "session=day-1",
    "evaluation.controls=full",
    "evaluation.controls='full'",
    "suite={n: 3}",
    "tracking.enabled=false",
    "lora.learning_rate=1e-3",
    "model.threads=null",
    "model.threads=2",
    "guards.kl_max=.5",
    "tracking.uri=sqlite:////home/a@b/mlflow.db",
    "tracking.uri=postgresql://db.example.org/mlflow?sslmode=require",
    "mirror.url=s3://bucket/prefix?region=eu-central-1",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_a_configuration_takes_passes(text: str) -> None:
    load_config("consolidation/episodic", [text])
    assert NIGHT.search(text)


def test_keys_of_maps_lists_and_optional_sections_pass() -> None:
    assert NIGHT.search("nights.count=3") and NIGHT.search("nights=null")
    assert COLUMNS.search("masking.soft_columns.total_columns=5") and COLUMNS.search('sleep.after=["a"]')


@pytest.mark.parametrize(
    "text",
    [
        *(
            "suite.m=8",
            "suit.n=8",
            "suite.n=many",
            "suite.n",
            "evaluation.controls=ful",
            "tracking.enabled=maybe",
            "seed=",
        ),
        *("tracking.uri=postgresql://me:tan/ge@db/mlflow", "mirror.url=s3://key:secret@bucket"),
    ],
)
def test_what_no_configuration_takes_is_refused_by_both(text: str) -> None:
    with pytest.raises(ConfigError):
        load_config("consolidation/episodic", [text])
    assert not NIGHT.search(text)
