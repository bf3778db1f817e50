"""Push and pull through a server that speaks S3's protocol, over HTTP, by pyarrow's own client.

Needs moto's server, which must not lie beside Engram's own packages (it asks for other versions of some):

    pip install --target FOLDER -r deployments/requirements-s3-test.txt      and ENGRAM_S3_TEST_LIB=FOLDER
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.artifacts import GenerationStore, RunFolder
from pipeline.artifacts.mirror import pull_run, pull_store, push_run, push_store, remote_runs, remote_stores
from pipeline.artifacts.remote import Remote
from pipeline.errors import ArtifactError, StoreError
from pipeline.services.api import answers
from pipeline.services.ports import choose
from tests.artifacts.test_mirror import RUN, finished_run, publish, store_of, value_of
from tests.stages.nights import ScriptedNight

_LIBRARY = os.environ.get("ENGRAM_S3_TEST_LIB", "")
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        not (Path(_LIBRARY) / "moto").is_dir() or not _LIBRARY,
        reason="no S3 server: pip install --target FOLDER -r deployments/requirements-s3-test.txt, and set "
        "ENGRAM_S3_TEST_LIB=FOLDER",
    ),
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    port = choose(0, frozenset())
    environment = {**os.environ, "PYTHONPATH": _LIBRARY}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not answers(f"http://127.0.0.1:{port}/moto-api/"):
            assert time.monotonic() < until and process.poll() is None, "the server did not start"
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def url(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A new bucket, and credentials in the environment."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "engram",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = tmp_path.name.replace("_", "-")[:40].strip("-").lower() + "-bucket"
    request = urllib.request.Request(f"http://{server}/{bucket}", method="PUT", data=b"")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request):
        pass
    return f"s3://{bucket}/engram?endpoint_override={server}&scheme=http&region=us-east-1&allow_bucket_creation=false"


def test_runs_and_stores_go_through_a_bucket(url: str, tmp_path: Path) -> None:
    here, there, remote = tmp_path / "here", tmp_path / "there", Remote.at(url)
    run = finished_run(here)
    assert remote_runs(remote) == remote_stores(remote) == []
    assert push_run(run, remote).files and push_run(run, remote).files == 0
    assert remote_runs(remote) == [RUN]
    pull_run(RUN, remote, there)
    assert RunFolder.at(there / RUN).manifest() == run.manifest()
    for value in (1, 2):
        publish(store_of(here), value)
        push_store(store_of(here), remote)
        pull_store("day-01", "episodic", remote, there)
        assert value_of(store_of(there)) == value
    assert remote.names("memory/day-01/episodic") == ["CURRENT.json", "gen-000002"]
    assert remote_stores(remote) == [("day-01", "episodic")]


def test_a_bucket_that_is_ahead_is_not_overwritten(url: str, tmp_path: Path) -> None:
    remote, other = Remote.at(url), store_of(tmp_path / "there")
    publish(store_of(tmp_path / "here"), 1)
    push_store(store_of(tmp_path / "here"), remote)
    publish(other, 9)
    publish(other, 10)
    with pytest.raises(StoreError, match="not one that"):
        push_store(other, remote)


def test_a_damaged_object_never_arrives(url: str, tmp_path: Path) -> None:
    remote = Remote.at(url)
    push_run(finished_run(tmp_path / "here"), remote)
    remote.write(f"{RUN}/teach/candidates.parquet", b"torn")
    with pytest.raises(ArtifactError, match="candidates"):
        pull_run(RUN, remote, tmp_path / "there")
    assert not (tmp_path / "there" / RUN).exists()


def test_a_push_that_is_killed_shows_nothing(url: str, tmp_path: Path) -> None:
    finished_run(tmp_path / "here")
    program = (
        "import os, sys; from pathlib import Path; from pipeline.artifacts import RunFolder; "
        "from pipeline.artifacts.mirror import push_run; from pipeline.artifacts.remote import Remote\n"
        "class Killed(Remote):\n"
        "    def write(self, path, data): os.kill(os.getpid(), 9)\n"
        "push_run(RunFolder.at(Path(sys.argv[1])), Killed.at(sys.argv[2]))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "here" / RUN), url], check=False)
    remote = Remote.at(url)
    assert done.returncode == -9 and remote.names(RUN) and remote_runs(remote) == []
    with pytest.raises(ArtifactError, match="holds no"):
        pull_run(RUN, remote, tmp_path / "there")


def test_an_unknown_bucket_and_a_server_that_is_gone_are_one_clear_error(url: str, tmp_path: Path) -> None:
    run = finished_run(tmp_path / "here")
    for broken in (url.replace("-bucket/", "-nowhere/"), "s3://a/b?endpoint_override=127.0.0.1:9&scheme=http"):
        with pytest.raises(ArtifactError) as told:
            push_run(run, Remote.at(broken))
        assert "\n" not in str(told.value) and "s3://" in str(told.value)


def test_nights_of_two_machines_meet_in_a_bucket(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scripted, said, runs = ScriptedNight(monkeypatch), list[str](), list[RunFolder]()
    settings = ("suite.name=episodic", "session=demo", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db")
    gone = "s3://a/b?endpoint_override=127.0.0.1:9&scheme=http"
    for number, (machine, mirror) in enumerate((("here", url), ("there", url), ("there", gone), ("here", url))):
        monkeypatch.setenv("ENGRAM_HOME", str(tmp_path / machine))
        more = (f"mirror.url={mirror}", f"suite.skip={6 * number}")
        if mirror == gone:  # a machine that never saw it stops
            with pytest.raises(ArtifactError, match="127"):
                scripted.run(*settings, *more, target="consolidation/nightly", tell=said.append)
        else:
            runs.append(scripted.run(*settings, *more, target="consolidation/nightly", tell=said.append))
    remote = Remote.at(url)
    assert not said and remote_runs(remote) == sorted("/".join(run.path.parts[-4:]) for run in runs)
    last = GenerationStore.of(tmp_path / "here", "demo", "episodic").current()
    assert last is not None and last.number == 3
    assert set(last.metadata["folded_runs"]) == {run.run_id for run in runs[:2]}
    assert remote.names("memory/demo/episodic") == ["CURRENT.json", "gen-000003"]
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not [content for content in kept if b"not-a-secret" in content] and "not-a-secret" not in caplog.text
