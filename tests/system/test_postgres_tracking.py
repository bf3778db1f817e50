"""Nights whose MLflow lies in PostgreSQL: directly, and behind an MLflow server that keeps its state there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.artifacts import RunFolder, digest_tree
from pipeline.config import TrackingConfig, load_config
from pipeline.errors import ServiceError
from pipeline.services.api import answers
from pipeline.services.ports import choose
from pipeline.sessions.champion import find_champion
from pipeline.sessions.rollback import roll_back
from pipeline.stages.order import STAGES
from pipeline.tracking import initialise
from pipeline.tracking.store import open_client
from pipeline.tracking.tracker import PARENT_TAG, RUN_TAG, STAGE_TAG
from tests.stages.nights import ScriptedNight
from tests.system.postgres import Postgres, lacking, running

_LACKING = lacking()
pytestmark = [pytest.mark.system, pytest.mark.skipif(_LACKING is not None, reason=_LACKING or "")]
LOGIN = ("operator", "tangerine-7481")  # of MLflow's server
SESSION = ("suite.name=episodic", "session=demo")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@dataclass(frozen=True)
class Store:
    """Where MLflow's store is, its database, and all passwords on the way to it."""

    uri: str
    database: str
    passwords: tuple[str, ...]


@pytest.fixture(params=["directly", "server"])
def tracked(
    request: pytest.FixtureRequest, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Store]:
    """A store in a database of its own, and this process's environment for it."""
    database = postgres.uri(request.param)
    if request.param == "directly":
        for name, value in postgres.environment.items():
            monkeypatch.setenv(name, value)
        yield Store(database, request.param, (postgres.password,))
        return
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", LOGIN[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", LOGIN[1])
    port = choose(0, frozenset())
    command = [sys.executable, "-m", "pipeline.services.mlflow_server", "127.0.0.1", str(port), database]
    own = {**postgres.environment, "PREFECT_SERVER_API_AUTH_STRING": ":".join(LOGIN)}
    with open(tmp_path / "server.log", "wb") as log:
        served = [*command, (tmp_path / "artifacts").as_uri()]
        process = subprocess.Popen(served, env={**os.environ, **own}, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 120
        while not answers(f"http://127.0.0.1:{port}/health"):
            assert time.monotonic() < until and process.poll() is None, (tmp_path / "server.log").read_text()[-2000:]
            time.sleep(0.5)
        yield Store(f"http://127.0.0.1:{port}", request.param, (postgres.password, LOGIN[1]))
    finally:
        process.terminate()
        process.wait()


def test_nights_are_logged_resumed_and_promoted_and_no_password_is_kept(
    tracked: Store,
    postgres: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    root, where = tmp_path / "root", f"tracking.uri={tracked.uri}"
    monkeypatch.setenv("ENGRAM_HOME", str(root))
    monkeypatch.chdir(tmp_path)
    scripted, config = ScriptedNight(monkeypatch), load_config("consolidation/nightly", ["session=demo", where])
    with monkeypatch.context() as broken:
        ScriptedNight(broken).fail_in("evaluate", RuntimeError("the power went"))
        with pytest.raises(RuntimeError, match="the power went"):
            scripted.run(*SESSION, where, target="consolidation/nightly")
    first = scripted.run(*SESSION, where, target="consolidation/nightly")
    second = scripted.run(*SESSION, where, "suite.skip=6", "seed=2025", target="consolidation/nightly")
    assert first.manifest()["resumed"] == 1

    client = open_client(tracked.uri)
    for version, run in enumerate((first, second), start=1):
        _logged(client, run)
        _registered(client, run, version)
    champion = find_champion(root, tracking=config.tracking)
    assert champion is not None and champion.run is not None
    assert (champion.version, champion.run.run_id) == (2, second.run_id)
    roll_back(root, to=1, tracking=config.tracking)
    assert (found := find_champion(root, tracking=config.tracking)) is not None and found.version == 1

    assert not (tmp_path / "mlruns").exists()  # where MLflow puts artifacts by default: the current folder
    printed = capfd.readouterr()
    dumped = postgres.call("pg_dump", tracked.database)
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert second.run_id in dumped and "View run" not in printed.out
    for password in tracked.passwords:
        assert password not in printed.out + printed.err + caplog.text + dumped
        assert not [content for content in written if password.encode() in content]


def _logged(client: MlflowClient, run: RunFolder) -> None:
    """A finished run for the night, one nested below it for every stage, figures, and files."""
    experiment = client.get_experiment_by_name("engram/consolidation")
    assert experiment is not None
    (night,) = client.search_runs([experiment.experiment_id], f"tags.`{RUN_TAG}` = '{'/'.join(run.path.parts[-3:])}'")
    stages = client.search_runs([experiment.experiment_id], f"tags.`{PARENT_TAG}` = '{night.info.run_id}'")
    assert {stage.data.tags[STAGE_TAG] for stage in stages} == {spec.name for spec in STAGES}
    assert {stage.info.status for stage in (night, *stages)} == {"FINISHED"}
    assert "arms.post_off.em" in night.data.metrics and night.data.params["session"] == "demo"
    assert night.inputs.dataset_inputs
    files = {file.path for file in client.list_artifacts(night.info.run_id)}
    assert {"report.html", "report.json", "config.yaml", "adapter"} <= files
    copy = Path(client.download_artifacts(night.info.run_id, "report.json", str(run.root)))
    assert copy.read_bytes() == (run.path / "report.json").read_bytes()


def _registered(client: MlflowClient, run: RunFolder, version: int) -> None:
    (model,) = client.search_registered_models()
    found = client.get_model_version(model.name, str(version))
    assert found.tags["engram.path"].split("/")[3] == run.run_id and found.tags["gate"] == "passed"
    assert found.tags["engram.digest"] == digest_tree(run.path / "lora_train" / "adapter")


def test_hosts_that_meet_in_an_empty_database_create_it_once(postgres: Postgres, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from pipeline.config import TrackingConfig; "
        "from pipeline.tracking import initialise; initialise(TrackingConfig(uri=sys.argv[1]), Path(sys.argv[2]))"
    )
    uri = postgres.uri("race")

    def host(number: int) -> subprocess.CompletedProcess[str]:
        own = tmp_path / f"temporary-{number}"  # MLflow's own lock is a file there: hosts share none
        own.mkdir()
        environment = {**os.environ, **postgres.environment, "TMPDIR": str(own)}
        command = [sys.executable, "-c", program, uri, str(tmp_path)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(3) as hosts:
        ended = list(hosts.map(host, range(3)))
    assert [(done.returncode, done.stderr) for done in ended] == [(0, "")] * 3


def test_a_wrong_password_and_a_server_that_is_gone_are_one_clear_error_in_seconds(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uri = postgres.uri("refused")
    monkeypatch.setenv("PGUSER", "postgres")
    monkeypatch.setenv("PGPASSWORD", "mandarin-1932")
    for address, reason in (
        (uri, "password authentication failed"),
        (f"postgresql://127.0.0.1:{_free()}/x", "refused"),
    ):
        start = time.monotonic()
        with pytest.raises(ServiceError, match=reason) as told:
            initialise(TrackingConfig(uri=address), tmp_path)
        assert time.monotonic() - start < 30 and "mandarin" not in str(told.value) and address in str(told.value)


def _free() -> int:
    return choose(0, frozenset())
