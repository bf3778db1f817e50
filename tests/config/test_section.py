"""Names that become parts of paths."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import check_name
from pipeline.errors import ConfigError


@pytest.mark.parametrize("name", ["day-01", "2026", "a.b_c", "A" * 64])
def test_plain_names_pass(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "a..b", ".hidden", "-x", "a b", "ä", "a\n", "A" * 65, "a\x00", "~"]
)
def test_dangerous_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="session"):
        check_name(name, "session")


@given(st.text(max_size=70))
def test_whatever_passes_is_one_ordinary_path_component(name: str) -> None:
    try:
        check_name(name)
    except ConfigError:
        return
    assert PurePosixPath(name).parts == (name,) and name not in (".", "..")
