"""Every check has to see what it is there for."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from pipeline.artifacts import GenerationStore, stage_results
from pipeline.bench.faults.commands import Ended
from pipeline.bench.faults.crowd import refused
from pipeline.bench.faults.flip import KINDS, choose, damage
from pipeline.bench.faults.full_disk import named_files, unclear
from pipeline.bench.faults.invariants import exact, has_champion, result_of, same, settled, whole
from pipeline.stores.episode import EPISODE_SCHEMA
from tests.stages.nights import ScriptedNight

NIGHTLY = {"target": "consolidation/nightly"}
SETTINGS = ("session=s", "suite.name=episodic", "suite.n=6")


@pytest.fixture
def scripted_night(monkeypatch: pytest.MonkeyPatch) -> ScriptedNight:
    return ScriptedNight(monkeypatch)


def test_an_undisturbed_night_holds_and_every_damage_is_seen(
    scripted_night: ScriptedNight, artifact_root: Path
) -> None:
    run = scripted_night.run(*SETTINGS, **NIGHTLY)
    store = GenerationStore.of(artifact_root, "s", "episodic")
    generation = store.current()
    assert generation is not None
    ids = set(generation.table("episodes", EPISODE_SCHEMA).column("episode_id").to_pylist())
    assert whole(artifact_root) == settled(artifact_root) == exact(artifact_root, "s", ids) == []
    assert has_champion(artifact_root) == [] and same(result_of(run), result_of(run)) == []

    assert exact(artifact_root, "s", ids | {"gone"})[0].startswith("lost: gone")
    assert exact(artifact_root, "s", ids - {min(ids)})[0].startswith("never taught")
    other = scripted_night.run(*SETTINGS, "seed=7", **NIGHTLY)
    assert same(result_of(other), result_of(run))

    weights = stage_results(run)["lora_train"].path / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(b"other weights")
    assert any(str(weights) in problem for problem in whole(artifact_root))
    champion = stage_results(other)["lora_train"].path / "adapter" / "adapter_model.safetensors"
    champion.write_bytes(b"other weights")
    assert has_champion(artifact_root)[0].startswith("champion: ")

    manifest = run.path / "manifest.json"
    manifest.write_text("{")
    assert any("manifest.json" in problem for problem in whole(artifact_root))


def test_a_run_that_is_left_running_is_seen(scripted_night: ScriptedNight, artifact_root: Path) -> None:
    scripted_night.fail_in("evaluate", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        scripted_night.run("tracking.enabled=false")
    assert settled(artifact_root)[0].startswith("left failed")


@pytest.mark.parametrize("seed", range(20))
def test_damage_changes_a_published_file(scripted_night: ScriptedNight, artifact_root: Path, seed: int) -> None:
    if seed:
        path = artifact_root / "memory" / "s" / "episodic" / "gen-000001" / "episodes.parquet"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(range(200)))
        kind, chosen = choose(artifact_root, Random(seed))
        assert kind == "store table" and chosen == path
        damage(path, Random(seed))
        assert path.read_bytes() != bytes(range(200)) and path.stat().st_size <= 200
    else:
        scripted_night.run(*SETTINGS, **NIGHTLY)
        drawn = {choose(artifact_root, Random(n))[0] for n in range(200)}
        assert drawn == set(KINDS) - {"checkpoint"}


def test_only_one_message_that_names_a_file_is_clear(tmp_path: Path) -> None:
    def ended(output: str, status: int = 2) -> Ended:
        return Ended(status, output, 0.0)

    named = f"error: {tmp_path}/runs/a/manifest.json: cannot write: No space left on device\n"
    assert named_files(named, tmp_path) == ["runs/a/manifest.json"] and unclear(ended(named), tmp_path) == []
    assert unclear(ended("error: No space left on device\n"), tmp_path)[0].startswith("the error names no file")
    assert unclear(ended(named, 3), tmp_path) and unclear(ended(named + named), tmp_path)
    assert unclear(ended("Traceback (most recent call last)\n" + named), tmp_path)
    assert refused(ended("error: x: another writer (process 7) holds the store; wait for it to finish\n"))
    assert not refused(ended(named)) and not refused(ended("error: another writer\n", 3))
