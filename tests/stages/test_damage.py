"""A damaged file is never read as if nothing had happened: not by the next stage, the next night or the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.artifacts import RunFolder, stage_results
from pipeline.errors import ArtifactError
from pipeline.report.build import load_report
from pipeline.report.flows import load_any_report
from pipeline.sessions.champion import adapter_of
from tests.stages.examples import lora_train
from tests.stages.nights import ScriptedNight

NIGHTLY = {"target": "consolidation/nightly"}
SETTINGS = ("session=s", "suite.name=episodic", "tracking.enabled=false")


def change(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def test_a_stage_refuses_an_input_that_was_damaged_after_it_was_published(scripted_night: ScriptedNight) -> None:
    def damage_then_train(run: RunFolder, *arguments: object) -> object:
        path = run.stage_folder("replay_sample") / "replay.parquet"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        return lora_train(run, *arguments)  # type: ignore[arg-type]

    scripted_night.put("lora_train", damage_then_train)
    with pytest.raises(ArtifactError, match=r"replay\.parquet: digest differs"):
        scripted_night.run(*SETTINGS)
    scripted_night.put("lora_train", lora_train)
    assert scripted_night.run(*SETTINGS).state == "done"  # the same command makes it again


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("evaluate/feedback.json", b"2.0", b"9.0"),
        ("evaluate/manifest.json", b'"requests": 40', b'"requests": 90'),
        ("promote/manifest.json", b'"passed": true', b'"passed": null'),
        ("manifest.json", b'"state": "done"', b'"state": "gone"'),
        ("config.yaml", b"session: s", b"session: t"),
    ],
)
def test_the_next_night_reads_no_damaged_file_of_an_earlier_one(
    scripted_night: ScriptedNight, name: str, old: bytes, new: bytes
) -> None:
    first = scripted_night.run(*SETTINGS, **NIGHTLY)
    change(first.path / name, old, new)
    with pytest.raises(ArtifactError, match=str(first.path / name)):
        scripted_night.run(*SETTINGS, "seed=7", **NIGHTLY)


def test_a_changed_figure_in_a_report_is_an_error(scripted_night: ScriptedNight, tmp_path: Path) -> None:
    run = scripted_night.run(*SETTINGS)
    alone = tmp_path / "report.json"
    alone.write_bytes((run.path / "report.json").read_bytes())
    requests = load_report(run.path).telemetry["retrieval.requests"]
    change(run.path / "report.json", b'"retrieval.requests": 40', b'"retrieval.requests": 49')
    for read in (load_report, load_any_report):
        with pytest.raises(ArtifactError, match=r"report\.json: differs from what stage report wrote"):
            read(run.path)
    assert load_report(run.path, verify=False).telemetry["retrieval.requests"] == 49
    assert load_report(alone).telemetry["retrieval.requests"] == requests == 40  # a copy has nothing to compare with


def test_a_damaged_adapter_answers_no_question(scripted_night: ScriptedNight) -> None:
    run = scripted_night.run(*SETTINGS)
    change(adapter_of(run) / "adapter_model.safetensors", b"read", b"ride")
    with pytest.raises(ArtifactError, match=r"adapter_model\.safetensors: digest differs"):
        adapter_of(run)


def test_a_stage_that_was_run_again_meanwhile_is_no_input(scripted_night: ScriptedNight) -> None:
    from dataclasses import replace

    run = scripted_night.run(*SETTINGS)
    results = {name: replace(result, digest="0" * 64) for name, result in stage_results(run).items()}
    (run.stage_folder("lora_train") / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="was run again while this night read its result"):
        lora_train(run, run.config(), results, None)  # type: ignore[arg-type]
