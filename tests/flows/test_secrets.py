"""A worker's secrets: from its environment or a Secret block, into its environment alone."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from prefect.blocks.system import Secret

from pipeline.config import TrackingConfig
from pipeline.config.loading import load_config
from pipeline.errors import ConfigError, ServiceError
from tasks.secrets import NAME, PASSWORD, load_secrets

SERVER = "https://mlflow.example.org"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (NAME, PASSWORD):
        monkeypatch.setenv(name, "")  # so that what the code sets is taken back


def block(monkeypatch: pytest.MonkeyPatch, value: str | None) -> list[str]:
    asked: list[str] = []

    def load(name: str) -> SimpleNamespace:
        asked.append(name)
        if value is None:
            raise ValueError("Unable to find block document")
        return SimpleNamespace(get=lambda: value)

    monkeypatch.setattr(Secret, "load", load)
    return asked


def test_a_tracking_server_gets_what_the_block_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert block(monkeypatch, "operator:tangerine:x") == []
    load_secrets(SERVER)
    assert (os.environ[NAME], os.environ[PASSWORD]) == ("operator", "tangerine:x")


@pytest.mark.parametrize("uri", [None, "sqlite:///mlflow.db", "file:///x"])
def test_nobody_asks_where_no_server_is(monkeypatch: pytest.MonkeyPatch, uri: str | None) -> None:
    asked = block(monkeypatch, "operator:tangerine")
    load_secrets(uri)
    assert not asked and not os.environ[PASSWORD]


def test_the_environment_comes_first_and_a_missing_block_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = block(monkeypatch, None)
    load_secrets(SERVER)
    assert asked == ["engram-mlflow"] and not os.environ[PASSWORD]
    monkeypatch.setenv(PASSWORD, "mine")
    load_secrets(SERVER)
    assert len(asked) == 1 and os.environ[PASSWORD] == "mine"


def test_a_block_of_another_form_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    block(monkeypatch, "tangerine")
    with pytest.raises(ServiceError, match="expected name:password") as error:
        load_secrets(SERVER)
    assert "tangerine" not in str(error.value)


def test_a_configuration_holds_no_password() -> None:
    assert TrackingConfig(uri="postgresql://db.example.org/mlflow").uri
    with pytest.raises(ConfigError, match="without name and password"):
        load_config("consolidation/episodic", ["tracking.uri=postgresql://operator:tangerine@db.example.org/mlflow"])
