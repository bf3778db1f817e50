"""Public data sets: found below ENGRAM_DATA, made from the hub's rows, never half written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalogue.data import DATA_SETS, data_set, pull
from pipeline.catalogue.models import hub_cache, known_models
from pipeline.errors import ConfigError, DataError

SQUAD = [
    {"title": "Apollo_program", "context": "A passage.", "question": "What?", "answers": {"text": ["this", "that"]}},
    {"title": "Apollo_program", "context": "A passage.", "question": "Who?", "answers": {"text": ["she"]}},
    {"title": "Other", "context": "B passage.", "question": "When?", "answers": {"text": ["now"]}},
]


def hub(name: str, configuration: str | None, split: str) -> list[dict[str, Any]]:
    if name == "rajpurkar/squad":
        return SQUAD
    asked = [{"question": f"q{i}", "answer": f"a{i}"} for i in range(45)]
    return asked if configuration == "full" else [{"question": "q", "answer": "a", "perturbed_answer": ["b"], "x": 1}]


def rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_passages_are_grouped_with_their_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path))
    assert data_set("squad").folder is None
    folder = pull("squad", load=hub)
    assert data_set("squad").folder == folder == tmp_path / "squad"
    first, second = rows(folder / "passages.jsonl")
    assert first["title"] == "Apollo program" and second["context"] == "B passage."
    assert first["questions"] == [{"question": "What?", "answer": "this"}, {"question": "Who?", "answer": "she"}]


def test_authors_are_numbered_in_twenties(tmp_path: Path) -> None:
    folder = pull("tofu", tmp_path, hub)
    authors = [row["author"] for row in rows(folder / "qa.jsonl")]
    assert authors == [1] * 20 + [2] * 20 + [3] * 5
    assert rows(folder / "world_facts.jsonl") == [{"question": "q", "answer": "a", "perturbed_answer": ["b"]}]


def test_what_cannot_be_fetched_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENGRAM_DATA", raising=False)
    with pytest.raises(ConfigError, match="ENGRAM_DATA"):
        pull("squad", load=hub)
    with pytest.raises(DataError, match="placed by hand"):
        pull("mnist", tmp_path / "data")
    with pytest.raises(ConfigError, match="unknown data set"):
        pull("bogus", tmp_path / "data")
    assert not (tmp_path / "data").exists()
    assert len({entry.name for entry in DATA_SETS}) == len(DATA_SETS)


def test_cached_models_are_listed_with_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert hub_cache() == tmp_path
    snapshot = tmp_path / "models--owner--name" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--owner--half").mkdir()
    (snapshot / "model.safetensors").write_bytes(b"0" * 2**21)
    told = {model.name: model.state for model in known_models()}
    assert told["owner/name"] == "cached, 2 MiB" and "incomplete" in told["owner/half"]
