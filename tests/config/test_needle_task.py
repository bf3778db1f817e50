"""Data of the flow needle: what does not fit together, or is not read, is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.config.needle_task import DataConfig, ListOpsConfig


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_queries": 5}, "n_queries=5 asks for more keys"),
        ({"n_pairs": 30, "distractors": 40}, "need as many keys"),
        ({"length": 64, "n_pairs": 10, "overwrites": 3}, "length=64 is too short: 13 pairs take 52"),
        ({"length": 64, "n_pairs": 6, "n_queries": 6}, "6 queries 18 of the last"),
        ({"num_values": 2, "n_pairs": 1, "overwrites": 2}, "too few different values"),
        ({"listops": {"max_depth": 5}}, "task=needle does not read listops"),
        ({"mqar": {"vocab_size": 512}}, "task=needle does not read mqar"),
        ({"task": "mqar", "n_queries": 2}, "task=mqar does not read n_queries"),
        ({"task": "mqar", "length": 65}, "expected an even number"),
        ({"task": "mqar", "length": 64, "n_pairs": 17}, "4 n_pairs=68 or more"),
        ({"task": "mqar", "mqar": {"vocab_size": 256}}, "expected more than length=256"),
        ({"task": "listops", "length": 2000}, "need 2001"),
        ({"task": "listops", "length": 2001, "n_pairs": 8, "test_lengths": (512,)}, "does not read n_pairs, test_len"),
        ({"test_lengths": (512, 16), "n_pairs": 4}, "length=16 is too short"),
        ({"test_pairs": (8, 100)}, "need as many keys"),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig.model_validate(values)


def test_the_largest_tree() -> None:
    assert ListOpsConfig(max_depth=2, max_args=3, min_length=4).largest == 5
    assert ListOpsConfig(max_depth=3, max_args=3, min_length=4).largest == 17
    with pytest.raises(ValidationError, match="have 17 tokens at most"):
        ListOpsConfig(max_depth=3, max_args=3, min_length=18)
    with pytest.raises(ValidationError, match="more than max_length"):
        ListOpsConfig(min_length=100, max_length=50)


def test_other_values_are_checked_too() -> None:
    config = DataConfig(test_lengths=(512,), n_queries=2)
    other = config.at(length=1024, n_pairs=8)
    assert (other.length, other.n_pairs, other.n_queries, other.test_lengths) == (1024, 8, 2, ())
    with pytest.raises(ValidationError):
        config.at(n_pair=8)
