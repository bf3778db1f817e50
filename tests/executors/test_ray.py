"""Executor ``ray`` without Ray: one error that says what to install."""

from __future__ import annotations

import sys

import pytest

from pipeline.errors import ConfigError
from pipeline.executors import executor_class


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"\.\[ray\].*sharding\.executor=processes"):
        executor_class("ray")(2, None)
