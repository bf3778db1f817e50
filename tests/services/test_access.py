"""An address that others reach: refused without a name and a password, which then guard everything and leak nowhere."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.errors import ServiceError
from pipeline.services import access, api, ports, stack
from pipeline.services.access import CLIENT, SERVER, credentials, is_loopback, reached_at, require_access, shared
from pipeline.services.api import PrefectServer
from pipeline.services.layout import Layout, environment
from pipeline.services.mlflow_server import Guard, allowed
from pipeline.services.overview import schedules, services
from pipeline.services.processes import State, read_state, write_state

PAIR = "operator:Zx9-tangerine-lighthouse"


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(SERVER, raising=False)
    monkeypatch.delenv(CLIENT, raising=False)
    monkeypatch.setattr(stack, "_toml", lambda: tmp_path / "prefect.toml")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    assert is_loopback(host) and require_access(host) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "192.168.1.2", "8.8.8.8", "fe80::1"])
def test_any_other_address_needs_a_name_and_a_password(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServiceError, match="a name and a password are required"):
        require_access(host)
    monkeypatch.setenv(SERVER, PAIR)
    assert require_access(host) == PAIR


@pytest.mark.parametrize("host", ["", "example.org", "10.0.0", "10.0.0.5:4200", "1.1.1.1; rm -rf /", "-h"])
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(ServiceError, match="expected an address of this machine"):
        require_access(host)


@pytest.mark.parametrize("pair", ["password", ":tangerine", "operator:", "opérator:tangerine", "a:b\n"])
def test_a_pair_of_another_form_is_refused_and_not_repeated(pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER, pair)
    with pytest.raises(ServiceError, match="expected name:password") as error:
        credentials()
    assert "tangerine" not in str(error.value)


def test_up_refuses_before_anything_is_started(artifact_root: Path) -> None:
    done = CliRunner().invoke(app, ["up", "--host", "0.0.0.0"])
    assert done.exit_code == 2 and SERVER in done.stderr and not any(artifact_root.iterdir())


def test_an_address_of_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch, artifact_root: Path) -> None:
    monkeypatch.setenv(SERVER, PAIR)
    with pytest.raises(ServiceError, match="is no address of this machine"):
        stack.up(artifact_root, lambda line: None, 0, 0, host="203.0.113.77")


def test_this_machine_reaches_what_is_bound_anywhere() -> None:
    assert [reached_at(host) for host in ("0.0.0.0", "::", "10.1.2.3", "fe80::1", "localhost")] == [
        "127.0.0.1",
        "[::1]",
        "10.1.2.3",
        "[fe80::1]",
        "127.0.0.1",
    ]
    assert PrefectServer(4200, "10.1.2.3").url == "http://10.1.2.3:4200/api"
    assert allowed("0.0.0.0", 1) == {} and allowed("10.1.2.3", 5)["MLFLOW_SERVER_ALLOWED_HOSTS"] == "10.1.2.3:5"


def test_services_and_clients_get_the_pair_by_environment(artifact_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CLIENT, PAIR)
    values = environment(Layout(artifact_root), 4321, "t", "10.1.2.3")
    assert values["PREFECT_API_URL"] == "http://10.1.2.3:4321/api" and values["NO_PROXY"].endswith(",10.1.2.3")
    assert values.items() >= shared(PAIR).items() and values[SERVER] == PAIR
    assert values["MLFLOW_TRACKING_PASSWORD"] == "Zx9-tangerine-lighthouse"
    starting = stack._Start(Layout(artifact_root), lambda line: None, 0, 0, "127.0.0.1", guarded=True)
    for command in (starting._prefect_command(), starting._mlflow_command()):
        assert "tangerine" not in " ".join(command)


def test_the_record_of_what_runs_holds_the_address_and_no_password(artifact_root: Path) -> None:
    layout = Layout(artifact_root)
    layout.home.mkdir()
    write_state(layout, State("t", (), "10.1.2.3"))
    assert read_state(layout) == State("t", (), "10.1.2.3")
    layout.state.write_text(json.dumps({"token": "t", "services": []}))  # of an earlier version
    assert read_state(layout) == State("t", ())


def status_of(path: str, headers: list[tuple[bytes, bytes]], kind: str = "http") -> int:
    sent: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    scope = {"type": kind, "path": path, "method": "GET", "headers": headers}
    asyncio.run(Guard(inner, PAIR)(scope, receive, send))
    return int(sent[0].get("status", sent[0].get("code", 0)))


def test_the_guard_lets_health_and_the_pair_through_alone() -> None:
    right = (b"authorization", access.basic(PAIR).encode())
    assert status_of("/health", []) == 200 and status_of("/", [right]) == 200
    for path in ("/", "/health/", "/api/2.0/mlflow/health", "/graphql"):
        assert status_of(path, []) == 401
    for wrong in (b"", b"Basic", b"Basic !!!", access.basic(PAIR + "x").encode(), right[1].lower()):
        assert status_of("/", [(b"authorization", wrong)]) == 401
    assert status_of("/", [right, (b"authorization", b"Basic x")]) == 401
    assert status_of("/", [], "websocket") == 1008


def test_a_server_that_wants_the_pair_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: urllib.request.Request, timeout: float) -> Any:
        assert request.get_header("Authorization") is None
        raise urllib.error.HTTPError(request.full_url, 401, "Unauthorized", {}, None)  # type: ignore[arg-type]

    monkeypatch.setattr(api._OPENER, "open", refuse)
    with pytest.raises(ServiceError, match=f"set {CLIENT}=name:password"):
        PrefectServer(1).call("GET", "/x")


def own_address() -> str | None:
    """An address of this machine that is not loopback."""
    found = [a.address for entries in psutil.net_if_addrs().values() for a in entries if a.family == socket.AF_INET]
    return next((address for address in found if not is_loopback(address)), None)


@pytest.fixture
def opened(artifact_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    host = own_address()
    if host is None:
        pytest.skip("this machine has no address but loopback")
    monkeypatch.setenv(SERVER, PAIR)
    try:
        yield stack.up(artifact_root, lambda line: None, 0, 0, host=host)
    finally:
        stack.down(artifact_root, lambda line: None)


@pytest.mark.system
def test_an_opened_address_is_guarded_and_the_password_is_nowhere(
    opened: State, artifact_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefect, mlflow = (f"http://{opened.host}:{service.port}" for service in opened.services[:2])
    private = [f"{prefect}/api/admin/version", f"{prefect}/api/flows/count", f"{mlflow}/", f"{mlflow}/version"]

    def status(url: str, pair: str | None = None) -> int:
        request = urllib.request.Request(url, headers={} if pair is None else {"Authorization": access.basic(pair)})
        try:
            return int(api._OPENER.open(request, timeout=20).status)
        except urllib.error.HTTPError as error:
            return error.code

    assert {status(url) for url in private} == {401} == {status(url, "operator:guess") for url in private}
    assert status(private[0], PAIR) == status(private[2], PAIR) == status(private[3], PAIR) == 200
    assert all(ports.is_free(service.port) for service in opened.services[:2] if service.port)  # on loopback
    assert {row.state for row in services(artifact_root)} == {"healthy"} and schedules(artifact_root)
    client = (
        "import mlflow, sys; c = mlflow.MlflowClient(sys.argv[1]); r = c.create_run(c.create_experiment('e')); "
        "c.log_metric(r.info.run_id, 'a.b', 1.0); c.log_text(r.info.run_id, 'x', 'x.txt')"
    )
    done = subprocess.run(
        [sys.executable, "-c", client, mlflow], env=os.environ | shared(PAIR), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    monkeypatch.delenv(SERVER)
    assert "name and password wanted" in {row.state for row in services(artifact_root)}
    password = PAIR.partition(":")[2].encode()
    arguments = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in arguments if password.decode() in line]
    files = [path for path in (*artifact_root.rglob("*"), *tmp_path.rglob("*")) if path.is_file()]
    encoded = access.basic(PAIR).split()[1].encode()
    assert len(files) > 10
    assert not [path for path in files if password in (data := path.read_bytes()) or encoded in data]
