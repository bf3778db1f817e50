"""Nights that keep a mirror: what they bring, what they push, and what happens when the URL is not there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.artifacts import GenerationStore, RunFolder
from pipeline.artifacts.mirror import remote_runs, remote_stores, run_name
from pipeline.artifacts.remote import Remote
from pipeline.config import ConsolidationConfig, FlowConfig
from pipeline.errors import ArtifactError, ConfigError, StoreError
from pipeline.sessions.champion import adapter_name, find_champion
from pipeline.stages.earlier import nights_of_session
from pipeline.stages.memory import generations_of
from pipeline.stages.night import begin, configure
from pipeline.tracking import open_tracker
from tests.tracking.template import copied_database

NIGHTLY = "consolidation/nightly"
Nights = Callable[..., RunFolder]


@pytest.fixture
def away(tmp_path: Path) -> Path:
    return tmp_path / "away"


@pytest.fixture
def remote(away: Path) -> Remote:
    return Remote.at(away.as_uri())


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, away: Path, said: list[str]) -> Nights:
    """A night of session `demo` on a machine of that name, of which the store's next generation is all that it does."""

    def run(machine: str, *more: str, target: str = NIGHTLY) -> RunFolder:
        monkeypatch.setenv("ENGRAM_HOME", str(tmp_path / machine))
        settings = ("session=demo", "tracking.enabled=false", f"mirror.url={away.as_uri()}", *more)
        with begin(target, settings, tell=said.append) as opened:
            if "suite.n=1" in more:
                raise RuntimeError("the power went")
            if "suite.n=2" in more:
                _promoted(opened.run, opened.config)
            generations_of(opened.run, opened.config).publish({"episodes": pa.table({"value": [1]})}, {})
        return opened.run

    return run


def _promoted(run: RunFolder, config: FlowConfig) -> None:
    assert isinstance(config, ConsolidationConfig)
    adapter = run.stage_folder("lora_train") / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    tracker, name = open_tracker(config, run.path), adapter_name(config.model)
    assert tracker.promote(name, tracker.register_adapter(adapter, name))


def generation(root: Path) -> int:
    current = GenerationStore.of(root, "demo", "episodic").current()
    assert current is not None
    return current.number


def test_a_session_goes_on_at_another_machine(night: Nights, remote: Remote, tmp_path: Path, said: list[str]) -> None:
    first, second = night("a"), night("a")
    assert remote_runs(remote) == sorted([run_name(first), run_name(second)])
    assert remote_stores(remote) == [("demo", "episodic")]
    third = night("b")
    assert generation(tmp_path / "b") == 3 and generation(tmp_path / "a") == 2
    config = configure(NIGHTLY, ["session=demo"])
    assert {run.run_id for run in nights_of_session(third, config)} == {first.run_id, second.run_id}
    assert len(remote_runs(remote)) == 3
    night("a")
    assert generation(tmp_path / "a") == 4 and (tmp_path / "a" / run_name(third)).is_dir()
    assert not said


def test_the_champion_comes_along_from_another_session(
    night: Nights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pipeline.tracking.store._create_database", copied_database)
    registry = ("tracking.enabled=true", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db")  # of all machines
    other, rejected = (night("a", "session=other", *registry, "suite.n=2"), night("a", "session=other", *registry))
    mine = night("b", *registry)
    assert {path.name for path in mine.path.parent.iterdir()} == {other.run_id, mine.run_id} != {rejected.run_id}
    assert [path.name for path in (tmp_path / "b" / "memory").iterdir()] == ["demo"]
    champion = find_champion(tmp_path / "b", tracking=mine.config().tracking)
    assert champion is not None and champion.run is not None and champion.run.path == tmp_path / "b" / run_name(other)


def test_a_fresh_night_pulls_nothing_and_pushes_itself(night: Nights, remote: Remote, tmp_path: Path) -> None:
    night("a")
    fresh = night("b", target="consolidation/episodic")
    assert [path.name for path in (tmp_path / "b" / "runs" / "consolidation").iterdir()] == ["episodic"]
    assert not (tmp_path / "b" / "memory").exists()
    assert run_name(fresh) in remote_runs(remote)


def test_a_push_that_fails_leaves_the_night_done_and_the_next_one_pushes_both(
    night: Nights, remote: Remote, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    def cut(*_: object) -> None:
        raise ArtifactError("the cable is out")

    with monkeypatch.context() as broken:
        broken.setattr(Remote, "upload", cut)
        first = night("a")
    assert first.state == "done" and remote_runs(remote) == [] and remote_stores(remote) == []
    assert len(said) == 2 and f"not pushed to {remote.url}: {run_name(first)} (the cable is out)" in said[0]
    assert said[0].endswith(f'engram push "{remote.url}" --run consolidation/nightly/{first.run_id}')
    assert "memory/demo/episodic (the cable is out)" in said[1] and said[1].endswith("--session demo")
    second = night("a")
    assert len(said) == 2 and remote_runs(remote) == sorted([run_name(first), run_name(second)])
    assert remote_stores(remote) == [("demo", "episodic")]


def test_a_mirror_that_is_away_stops_only_a_machine_that_never_saw_it(
    night: Nights, remote: Remote, monkeypatch: pytest.MonkeyPatch, said: list[str], tmp_path: Path
) -> None:
    night("a")

    def gone(*_: object) -> None:
        raise ArtifactError("nobody answers")

    with monkeypatch.context() as broken:
        broken.setattr(Remote, "names", gone)
        assert night("a").state == "done"
        with pytest.raises(ArtifactError, match="nobody answers"):
            night("b")
    assert not (tmp_path / "b").exists()  # nothing was begun there
    assert ["nothing was pulled" in line for line in said] == [True, False] and "what this night did" in said[1]
    night("a")
    assert len(remote_runs(remote)) == 3 and len(said) == 2


def test_what_is_newer_and_damaged_stops_the_night(night: Nights, away: Path, tmp_path: Path) -> None:
    night("a")
    night("b")
    night("a")
    (damaged,) = (away / "memory" / "demo" / "episodic").glob("gen-*/episodes.parquet")
    damaged.write_bytes(b"torn")
    with pytest.raises(ArtifactError, match=r"gen-000003/episodes\.parquet"):
        night("b")
    assert generation(tmp_path / "b") == 2


def test_stores_that_went_different_ways_are_refused_before_anything_runs(night: Nights, tmp_path: Path) -> None:
    night("a")
    night("b", "mirror.url=null")
    night("a")
    with pytest.raises(StoreError, match="generation 1 of this machine is not what"):
        night("b")
    assert generation(tmp_path / "b") == 1 and len(list((tmp_path / "b" / "runs").glob("*/*/*"))) == 1


def test_only_runs_of_this_mirror_are_pushed(night: Nights, remote: Remote) -> None:
    night("a", "mirror.url=null", target="consolidation/episodic")
    mine = night("a")
    assert remote_runs(remote) == [run_name(mine)]


def test_a_night_that_fails_pushes_nothing(night: Nights, remote: Remote) -> None:
    with pytest.raises(RuntimeError, match="the power went"):
        night("a", "suite.n=1")
    assert remote_runs(remote) == remote_stores(remote) == []


def test_a_run_of_an_unreadable_version_is_left_there(night: Nights, away: Path, tmp_path: Path) -> None:
    older = away / "runs" / "consolidation" / "nightly" / "older"
    shutil.copytree(away / run_name(night("a")), older)
    (older / "config.yaml").write_text("flow: consolidation\nfoo: 1\n")
    night("b")
    assert not (tmp_path / "b" / "runs" / "consolidation" / "nightly" / "older").exists()


@pytest.mark.parametrize("url", ["ftp://h/a", "/a/folder", "s3://key:secret@bucket/a", "s3://key:sec/ret@bucket"])
def test_the_setting_takes_no_other_urls_and_no_secrets(url: str) -> None:
    with pytest.raises(ConfigError, match=r"mirror\.url") as told:
        configure(NIGHTLY, ["session=demo", f"mirror.url={url}"])
    assert "secret" not in str(told.value) and "sec/ret" not in str(told.value)
