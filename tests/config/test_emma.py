"""Settings of the needle model: values that contradict each other are refused, with what to change."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.config.emma import EmmaConfig, HolographicConfig, NeedleTrainConfig, ReadConfig


def test_a_read_of_more_buckets_than_there_are_is_refused() -> None:
    with pytest.raises(ValidationError, match="only bucket_count=2"):
        HolographicConfig(bucket_count=2, k_top=3)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (EmmaConfig, "contraction", 1.0),
        (EmmaConfig, "writes", "oracle"),
        (HolographicConfig, "write_decay", 0.0),
        (HolographicConfig, "n_slots", 768),
        (ReadConfig, "cleanup_temp", 0.0),
        (NeedleTrainConfig, "lr", float("nan")),
    ],
)
def test_what_cannot_work_or_is_not_read_is_refused(section: type[EmmaConfig], key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        section.model_validate({key: value})
