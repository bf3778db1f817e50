"""Handing out a model: all of it, or nothing; never over something that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.artifacts import list_runs
from pipeline.errors import ArtifactError, ModelError, TrainingError
from pipeline.sessions.exporting import export_adapter, new_folder
from tests.stages.nights import ScriptedNight


@pytest.fixture
def scripted_night(monkeypatch: pytest.MonkeyPatch) -> ScriptedNight:
    return ScriptedNight(monkeypatch)


def test_the_adapter_alone_is_copied(scripted_night: ScriptedNight, tmp_path: Path) -> None:
    run = scripted_night.run("tracking.enabled=false")
    written = export_adapter(run, tmp_path / "out")
    assert {path.name for path in written.iterdir()} == {"adapter_model.safetensors", "adapter_config.json"}
    with pytest.raises(ArtifactError, match="exists already"):
        export_adapter(run, tmp_path / "out")


def test_a_run_without_an_adapter_is_refused(
    scripted_night: ScriptedNight, artifact_root: Path, tmp_path: Path
) -> None:
    scripted_night.fail_in("lora_train", TrainingError("no"))
    with pytest.raises(TrainingError):
        scripted_night.run("tracking.enabled=false")
    with pytest.raises(ModelError, match="no adapter yet"):
        export_adapter(list_runs(artifact_root)[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    def half(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        new_folder(tmp_path / "out", half)
    assert not list(tmp_path.glob("*out*"))
    (tmp_path / "empty").mkdir()
    assert (new_folder(tmp_path / "empty", lambda folder: (folder / "a").touch()) / "a").exists()
