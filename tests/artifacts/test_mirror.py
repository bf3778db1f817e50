"""Runs and stores at a URL: whole or absent, checked by digest, never overwritten by a machine that is behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.artifacts import GenerationStore, RunFolder, open_run, stage
from pipeline.artifacts.mirror import (
    is_behind,
    pull_run,
    pull_store,
    push_run,
    push_store,
    remote_runs,
    remote_stores,
)
from pipeline.artifacts.redaction import Redaction
from pipeline.artifacts.remote import Remote
from pipeline.artifacts.sealed import sealed_again
from pipeline.config import load_config
from pipeline.errors import ArtifactError, ConfigError, StoreError
from pipeline.sessions.erasing import erase_store

RUN = "runs/consolidation/episodic/first"


def finished_run(root: Path) -> RunFolder:
    with open_run(load_config("consolidation/episodic"), "first", root) as run:
        with stage(run, "teach", inputs={}, config={}) as teach:
            teach.write_table("candidates", pa.table({"id": ["a", "b"]}), "candidates/1")
            teach.metrics = {"accepted": 2}
        return run


def store_of(root: Path) -> GenerationStore:
    return GenerationStore.of(root, "day-01", "episodic")


def publish(store: GenerationStore, value: int) -> None:
    store.publish({"episodes": pa.table({"value": [value]})}, {"value": value})


def value_of(store: GenerationStore) -> int:
    current = store.current()
    assert current is not None
    return int(current.table("episodes")["value"][0].as_py())


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote.at((tmp_path / "away").as_uri())


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "here"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there"


def test_a_finished_run_arrives_whole_and_only_once(remote: Remote, here: Path, there: Path) -> None:
    run = finished_run(here)
    assert push_run(run, remote).files > 3 and push_run(run, remote).files == 0
    assert remote_runs(remote) == [RUN]
    assert pull_run(RUN, remote, there).files > 3 and pull_run(RUN, remote, there).files == 0
    copy = RunFolder.at(there / RUN)
    assert copy.state == "done" and copy.root == there and copy.manifest() == run.manifest()
    assert (copy.path / "teach" / "candidates.parquet").read_bytes() == (
        run.path / "teach" / "candidates.parquet"
    ).read_bytes()
    assert not list(copy.path.parent.glob(".*"))


def test_an_unfinished_run_stays(remote: Remote, here: Path) -> None:
    unfinished = open_run(load_config("consolidation/episodic"), "first", here)
    with unfinished as run, pytest.raises(ArtifactError, match="is running; only finished runs"):
        push_run(run, remote)
    assert remote_runs(remote) == []


def test_a_push_that_was_cut_short_shows_nothing_and_is_taken_up(
    remote: Remote, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished_run(here)
    whole = Remote.upload

    def cut(self: Remote, source: Path, path: str) -> None:
        if path.endswith(".parquet"):
            raise ArtifactError("the cable is out")
        whole(self, source, path)

    monkeypatch.setattr(Remote, "upload", cut)
    with pytest.raises(ArtifactError, match="cable"):
        push_run(run, remote)
    assert remote_runs(remote) == []
    with pytest.raises(ArtifactError, match="holds no runs/"):
        pull_run(RUN, remote, there)
    monkeypatch.setattr(Remote, "upload", whole)
    push_run(run, remote)
    assert pull_run(RUN, remote, there).files


def test_a_damaged_copy_never_arrives(remote: Remote, here: Path, there: Path, tmp_path: Path) -> None:
    push_run(finished_run(here), remote)
    damaged = tmp_path / "away" / RUN / "teach" / "candidates.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    with pytest.raises(ArtifactError, match=r"teach/candidates\.parquet"):
        pull_run(RUN, remote, there)
    assert not (there / RUN).exists() and not list((there / RUN).parent.glob(".*"))


def test_another_run_of_the_same_name_is_refused(remote: Remote, here: Path, there: Path) -> None:
    push_run(finished_run(here), remote)
    other = finished_run(there)  # started at another moment
    with pytest.raises(ArtifactError, match="another runs/"):
        push_run(other, remote)
    with pytest.raises(ArtifactError, match="differs"):
        pull_run(RUN, remote, there)


def test_a_store_follows_generation_by_generation(remote: Remote, here: Path, there: Path, tmp_path: Path) -> None:
    store, copy = store_of(here), store_of(there)
    for value in (1, 2, 3):
        publish(store, value)
        if value != 2:
            assert push_store(store, remote).files == 1
            assert pull_store("day-01", "episodic", remote, there).files == 1
            assert value_of(copy) == value
    assert push_store(store, remote).files == pull_store("day-01", "episodic", remote, there).files == 0
    assert remote_stores(remote) == [("day-01", "episodic")]
    assert [path.name for path in (tmp_path / "away" / "memory" / "day-01" / "episodic").glob("gen-*")] == [
        "gen-000003"
    ]
    publish(copy, 4)
    assert push_store(copy, remote).files == 1 and pull_store("day-01", "episodic", remote, here).files == 1
    assert value_of(store) == 4


def test_a_machine_that_is_behind_overwrites_nothing(remote: Remote, here: Path, there: Path) -> None:
    store, other = store_of(here), store_of(there)
    publish(store, 1)
    push_store(store, remote)
    publish(other, 9)
    publish(other, 10)
    with pytest.raises(StoreError, match="not one that generation 2 of this machine follows"):
        push_store(other, remote)
    with pytest.raises(StoreError, match="push it, or pull below another"):
        pull_store("day-01", "episodic", remote, there)
    assert value_of(other) == 10
    pull_store("day-01", "episodic", remote, here)
    assert value_of(store) == 1


def test_what_was_never_published_is_not_replaced(remote: Remote, here: Path, there: Path) -> None:
    store, other = store_of(here), store_of(there)
    publish(store, 1)
    push_store(store, remote)
    pull_store("day-01", "episodic", remote, there)
    publish(other, 9)  # and is not pushed
    for value in (2, 3):
        publish(store, value)
        push_store(store, remote)
    assert is_behind(other, remote) and not is_behind(store, remote)
    with pytest.raises(StoreError, match="generation 2 of this machine is not what"):
        pull_store("day-01", "episodic", remote, there)
    assert value_of(other) == 9


def test_a_store_of_which_something_was_erased_is_pushed_again(remote: Remote, here: Path, there: Path) -> None:
    store = store_of(here)
    store.publish({"episodes": pa.table({"value": [1], "text": ["a lantern"]})}, {})
    push_store(store, remote)
    pull_store("day-01", "episodic", remote, there)
    assert erase_store(store.folder, Redaction(None, ("a lantern",)))
    assert not is_behind(store, remote) and push_store(store, remote).files == 1
    publish(store, 2)
    assert erase_store(store.folder, Redaction(None, (), ("value",))) == 0
    push_store(store, remote)
    pull_store("day-01", "episodic", remote, there)
    assert value_of(store_of(there)) == 2


def test_a_generation_that_is_damaged_away_leaves_the_store_as_it_was(
    remote: Remote, here: Path, there: Path, tmp_path: Path
) -> None:
    store = store_of(here)
    publish(store, 1)
    push_store(store, remote)
    pull_store("day-01", "episodic", remote, there)
    publish(store, 2)
    push_store(store, remote)
    damaged = tmp_path / "away" / "memory" / "day-01" / "episodic" / "gen-000002" / "episodes.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="gen-000002"):
        pull_store("day-01", "episodic", remote, there)
    assert value_of(store_of(there)) == 1
    publish(store_of(there), 5)  # what the pull left behind is swept
    assert value_of(store_of(there)) == 5


@pytest.mark.parametrize("path", ["../../../../evil", "CURRENT.json", "gen-000009/episodes.parquet"])
def test_a_manifest_from_elsewhere_writes_into_its_own_folder_alone(
    path: str, remote: Remote, here: Path, there: Path, tmp_path: Path
) -> None:
    publish(store_of(here), 1)
    push_store(store_of(here), remote)
    current = tmp_path / "away" / "memory" / "day-01" / "episodic" / "CURRENT.json"
    content = json.loads(current.read_text())
    content["files"][0]["path"] = path
    current.write_text(sealed_again(json.dumps(content)))
    with pytest.raises(ArtifactError, match=r"outside its folder|which is not in gen-000001"):
        pull_store("day-01", "episodic", remote, there)
    assert store_of(there).current() is None


@pytest.mark.parametrize("url", ["ftp://key:secret@host/a", "/a/folder", "s3://key:secret@bucket/a"])
def test_other_urls_are_refused_without_repeating_secrets(url: str) -> None:
    with pytest.raises(ConfigError) as told:
        Remote.at(url)
    assert "secret@" not in str(told.value)


def test_nothing_away_is_no_error(remote: Remote, tmp_path: Path) -> None:
    assert remote_runs(remote) == remote_stores(remote) == [] and remote.read("a/b") is None
    shutil.rmtree(tmp_path / "away", ignore_errors=True)
