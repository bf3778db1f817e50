"""A worker's secrets: from its environment or a Secret block, into its environment alone."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from prefect.blocks.system import Secret

from pipeline.config import TrackingConfig
from pipeline.config.loading import load_config
from pipeline.errors import ConfigError, ServiceError
from tasks.secrets import POSTGRES, SERVER, load_secrets

MLFLOW = "https://mlflow.example.org"
DATABASE = "postgresql://db.example.org/mlflow"
PASSWORD = SERVER[1]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SERVER, *POSTGRES):
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


@pytest.mark.parametrize(("uri", "variables", "others"), [(MLFLOW, SERVER, POSTGRES), (DATABASE, POSTGRES, SERVER)])
def test_a_tracking_store_gets_what_the_block_holds(
    monkeypatch: pytest.MonkeyPatch, uri: str, variables: tuple[str, str], others: tuple[str, str]
) -> None:
    assert block(monkeypatch, "operator:tangerine:x") == []
    load_secrets(uri)
    assert [os.environ[name] for name in variables] == ["operator", "tangerine:x"]
    assert [os.environ[name] for name in others] == ["", ""]


@pytest.mark.parametrize("uri", [None, "sqlite:///mlflow.db", "file:///x"])
def test_nobody_asks_where_no_server_is(monkeypatch: pytest.MonkeyPatch, uri: str | None) -> None:
    asked = block(monkeypatch, "operator:tangerine")
    load_secrets(uri)
    assert not asked and not os.environ[PASSWORD]


def test_the_environment_comes_first_and_a_missing_block_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = block(monkeypatch, None)
    load_secrets(MLFLOW)
    assert asked == ["engram-mlflow"] and not os.environ[PASSWORD]
    monkeypatch.setenv(PASSWORD, "mine")
    load_secrets(MLFLOW)
    assert len(asked) == 1 and os.environ[PASSWORD] == "mine"


def test_a_block_of_another_form_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    block(monkeypatch, "tangerine")
    with pytest.raises(ServiceError, match="expected name:password") as error:
        load_secrets(MLFLOW)
    assert "tangerine" not in str(error.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://operator:tangerine@db.example.org/mlflow",
        "postgresql://operator:tange/rine@db.example.org/mlflow",
        "postgresql://db.example.org/mlflow?user=operator&password=tangerine",
        "postgresql://db.example.org/mlflow?sslpassword=tangerine",
        "https://operator:tangerine@mlflow.example.org",
    ],
)
def test_a_configuration_holds_no_password(address: str) -> None:
    with pytest.raises(ConfigError, match="without name and password") as told:
        load_config("consolidation/episodic", [f"tracking.uri={address}"])
    assert "tangerine" not in str(told.value)


@pytest.mark.parametrize("uri", [DATABASE, f"{DATABASE}?sslmode=verify-full", MLFLOW, "sqlite:////home/a@b/mlflow.db"])
def test_an_address_alone_is_fine(uri: str) -> None:
    assert TrackingConfig(uri=uri).uri == uri
