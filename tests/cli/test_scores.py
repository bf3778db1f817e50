"""``engram score``: a table, a file, a kit, and refusals in one message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.protocol.frozen import FROZEN
from tests.cli.test_app import assert_refused, engram
from tests.language.tiny import tiny_model, tiny_tokenizer

LITTLE = ("facts=2", "evaluation.controls=default", "evaluation.sanity_n=8", "evaluation.drift_tokens=20",
          "evaluation.max_new_tokens=3", "evaluation.bootstrap=20", "model.device=cpu")  # fmt: skip


@pytest.fixture
def tiny_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "tiny"
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def test_a_score_is_a_table_and_a_file(tiny_folder: Path, tmp_path: Path) -> None:
    settings = [part for one in (*LITTLE, f"model.name={tiny_folder}") for part in ("--set", one)]
    result = engram("score", tiny_folder, *settings, "--out", tmp_path / "new" / "score.json")
    assert result.exit_code == 0, result.output
    for words in (
        FROZEN["v1"].sha256,
        "held-out EM",
        "worst form",
        "near miss",
        "worst drift",
        "comparable with nobody",
    ):
        assert words in result.output
    found = json.loads((tmp_path / "new" / "score.json").read_text())
    assert found["suite"] == {"name": "v1", "sha256": FROZEN["v1"].sha256, "facts": 2, "complete": False}
    assert f"{found['held_out']['em']:.3f}" in result.output and found["entrant"]["kind"] == "model"


def test_the_kit_is_written_once(tmp_path: Path) -> None:
    result = engram("score", "--export", tmp_path / "kit")
    assert result.exit_code == 0 and FROZEN["v1"].sha256 in result.output
    assert {path.name for path in (tmp_path / "kit").iterdir()} == {"facts.jsonl", "README.md"}
    assert_refused(engram("score", "--export", tmp_path / "kit"), "exists already")


def test_what_cannot_be_scored_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    assert_refused(engram("score"), "MODEL_OR_ADAPTER", "--export")
    assert_refused(engram("score", "none", "--suite", "v0"), "unknown frozen suite 'v0'", "v1")
    assert_refused(engram("score", "none", "--set", "suite.n=3"), "unknown key")
    assert_refused(engram("score", "none", "--set", "facts=51"), "has 50 facts")
    (tmp_path / "notes").mkdir()
    base = f"model.name={tiny_folder}"
    assert_refused(engram("score", tmp_path / "notes", "--set", base, "--set", "facts=1"), "is no model", "config.json")
