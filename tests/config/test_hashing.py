"""The configuration hash: stable, sensitive to every value, blind to where things lie."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import canonical_json, config_dict, config_hash, load_config
from pipeline.errors import ConfigError

EPISODIC = "consolidation/episodic"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def test_hash_is_blind_to_placement_and_root(tmp_path: Path) -> None:
    here = config_hash(load_config(EPISODIC))
    elsewhere = ["placement=workers", "sharding.shards=3", "tracking.uri=sqlite:///x.db", "mirror.url=file:///x"]
    there = load_config(EPISODIC, elsewhere, root=tmp_path)
    assert config_hash(there) == here
    assert len(here) == 16 and int(here, 16) >= 0


@pytest.mark.parametrize("override", ["seed=1", "suite.n=8", "gate.alpha=.51", "tracking.enabled=false", "session=x"])
def test_hash_sees_every_other_value(override: str) -> None:
    assert config_hash(load_config(EPISODIC, [override])) != config_hash(load_config(EPISODIC))


def test_a_section_hash_sees_its_section_alone() -> None:
    base, other = load_config(EPISODIC), load_config(EPISODIC, ["suite.n=8"])
    assert config_hash(base, ["gate", "store"]) == config_hash(other, ["store", "gate"])
    assert config_hash(base, ["suite"]) != config_hash(other, ["suite"])
    assert set(config_dict(base, ["suite", "seed"])) == {"suite", "seed"}
    with pytest.raises(ConfigError, match="no section suit"):
        config_hash(base, ["suit"])


def test_hash_is_the_same_in_another_process() -> None:
    code = "from pipeline.config import *; print(config_hash(load_config('consolidation/episodic', ['suite.n=9'])))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == config_hash(load_config(EPISODIC, ["suite.n=9"]))


@given(st.dictionaries(st.text(), JSON))
def test_canonical_json_ignores_key_order(value: dict[str, object]) -> None:
    assert canonical_json(value) == canonical_json(dict(reversed(value.items())))


@given(JSON, JSON)
def test_canonical_json_tells_values_apart(left: object, right: object) -> None:
    assert (canonical_json(left) == canonical_json(right)) == (repr_key(left) == repr_key(right))


def repr_key(value: object) -> object:
    """An independent identity of a JSON value: types told apart, key order not."""
    if isinstance(value, dict):
        return ("dict", frozenset((key, repr_key(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("list", tuple(map(repr_key, value)))
    return (type(value).__name__, repr(value))
