"""JSON with the digest of its own values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.artifacts import RunFolder, open_run, write_json
from pipeline.artifacts.sealed import read_sealed, sealed_again, write_sealed
from pipeline.config import FlowConfig, load_config
from pipeline.errors import ArtifactError, EngramError

FIGURES = {"em": 0.9375, "rows": 48, "name": "Ångström", "guards": [{"value": None, "passed": True}]}


@given(at=st.integers(0, 10_000), bits=st.integers(1, 255))
def test_no_flipped_byte_changes_what_is_read(tmp_path: Path, at: int, bits: int) -> None:
    path = tmp_path / "figures.json"
    write_sealed(path, FIGURES)
    assert read_sealed(path) == FIGURES
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= bits
    path.write_bytes(data)
    try:
        found = read_sealed(path)
    except ArtifactError as error:
        assert str(path) in str(error)
    else:  # white space, or the name of the digest itself
        assert {key: found[key] for key in FIGURES} == FIGURES


def test_what_is_changed_on_purpose_is_sealed_again_and_old_files_have_no_seal(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    write_sealed(path, FIGURES)
    path.write_text(sealed_again(path.read_text().replace("Ångström", "***")))
    assert read_sealed(path)["name"] == "***"
    write_json(path, FIGURES)
    assert read_sealed(path) == FIGURES
    assert json.loads(sealed_again(path.read_text())) == FIGURES


def test_a_changed_setting_of_a_run_is_an_error_that_names_the_file(artifact_root: Path) -> None:
    with open_run(load_config("consolidation/episodic", ["seed=7"]), "one") as run:
        assert run.config().seed == 7
    path = run.path / "config.yaml"
    path.write_text(path.read_text().replace("seed: 7", "seed: 8"))
    with pytest.raises(ArtifactError, match=r"config\.yaml: differs"):
        run.config()
    run.settings_rewritten()
    changed: FlowConfig = RunFolder.at(run.path).config()
    assert changed.seed == 8


def test_a_changed_figure_of_a_run_is_an_error(artifact_root: Path) -> None:
    with open_run(load_config("consolidation/episodic", []), "one") as run:
        pass
    path = run.path / "manifest.json"
    path.write_text(path.read_text().replace('"done"', '"running"'))
    with pytest.raises(EngramError, match=r"manifest\.json: its values differ"):
        _ = run.state
