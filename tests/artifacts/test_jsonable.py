"""Metrics as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.artifacts import json_safe
from pipeline.errors import ArtifactError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
    max_leaves=8,
)


@given(VALUES)
def test_json_values_survive_a_round_trip(value: Any) -> None:
    safe = json_safe(value)
    assert json.loads(json.dumps(safe, allow_nan=False)) == safe


def test_numpy_and_paths_become_plain() -> None:
    value = {
        "n": np.int64(3),
        "em": np.float32(0.5),
        "ok": np.bool_(True),
        "v": np.arange(2),
        "p": Path("a/b"),
        "t": (1,),
    }
    safe = json_safe(value)
    assert safe == {"n": 3, "em": 0.5, "ok": True, "v": [0, 1], "p": "a/b", "t": [1]}
    assert [type(item) for item in safe.values()] == [int, float, bool, list, str, list]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"arms": {"post": {"em": float("nan")}}}, r"metrics\.arms\.post\.em is nan"),
        ({"loss": [1.0, np.float64("inf")]}, r"metrics\.loss\[1\] is inf"),
        ({"v": np.array([1.0, np.nan])}, r"metrics\.v\[1\] is nan"),
        ({3: 1}, "metrics has the key 3"),
        ({"s": {1, 2}}, r"metrics\.s is a set"),
        ({"b": b"x"}, r"metrics\.b is a bytes"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_name(value: Any, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        json_safe(value)
