"""Manifests: relative, verified, published last."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.artifacts import Manifest, digest_file, digest_json, digest_tree, load, publish, write_bytes, write_table
from pipeline.artifacts.digests import code_version
from pipeline.artifacts.sealed import sealed_again
from pipeline.errors import ArtifactError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "stage"
    write_table(folder / "rows.parquet", pa.table({"id": [1, 2]}), "rows/1", "hash")
    write_bytes(folder / "adapter" / "weights.bin", bytes(range(256)))
    return folder


def published(folder: Path) -> Manifest:
    return publish(folder, "manifest.json", [folder / "rows.parquet", folder / "adapter" / "weights.bin"], {"night": 3})


def test_a_manifest_lists_relative_paths_rows_sizes_and_digests(folder: Path) -> None:
    manifest = published(folder)
    assert load(folder / "manifest.json") == manifest
    weights, rows = manifest.files
    assert (weights.path, weights.rows, weights.bytes) == ("adapter/weights.bin", None, 256)
    assert weights.sha256 == hashlib.sha256(bytes(range(256))).hexdigest()
    assert (rows.path, rows.rows) == ("rows.parquet", 2)
    assert manifest.metadata == {"night": 3}


def test_a_copied_folder_still_opens(folder: Path, tmp_path: Path) -> None:
    manifest = published(folder)
    shutil.move(folder, tmp_path / "elsewhere")
    assert load(tmp_path / "elsewhere" / "manifest.json") == manifest


@given(at=st.integers(0, 255), flip=st.integers(1, 255))
def test_any_flipped_byte_is_an_error_that_names_the_file(tmp_path: Path, at: int, flip: int) -> None:
    write_bytes(tmp_path / "w.bin", bytes(256))
    publish(tmp_path, "manifest.json", [tmp_path / "w.bin"], {})
    data = bytearray(256)
    data[at] ^= flip
    (tmp_path / "w.bin").write_bytes(data)
    with pytest.raises(ArtifactError, match=r"w\.bin: digest differs"):
        load(tmp_path / "manifest.json")
    assert load(tmp_path / "manifest.json", verify=False).files[0].bytes == 256


def test_a_missing_file_is_named_at_publishing_and_at_loading(folder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"none\.bin: cannot be published: No such file"):
        publish(folder, "manifest.json", [folder / "none.bin"], {})
    published(folder)
    (folder / "rows.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"rows\.parquet: missing"):
        load(folder / "manifest.json")


def test_a_file_outside_is_refused_both_ways(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    with pytest.raises(ArtifactError, match="lies outside"):
        publish(folder, "manifest.json", [tmp_path / "secret"], {})
    published(folder)
    content = json.loads((folder / "manifest.json").read_text())
    for path in ("../secret", str(tmp_path / "secret")):
        content["files"][0]["path"] = path
        (folder / "manifest.json").write_text(sealed_again(json.dumps(content)))
        with pytest.raises(ArtifactError, match="lies outside its folder"):
            load(folder / "manifest.json")


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"schema_version": 1}', '{"schema_version": 1, "files": [{}], "metadata": {}}', "null"],
)
def test_what_is_no_manifest_is_an_artifact_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"manifest\.json: not "):
        load(tmp_path / "manifest.json")


def test_another_manifest_version_is_an_error(folder: Path) -> None:
    published(folder)
    text = (folder / "manifest.json").read_text().replace('"schema_version": 1', '"schema_version": 2')
    (folder / "manifest.json").write_text(sealed_again(text))
    with pytest.raises(ArtifactError, match="expected manifest version 1, found 2"):
        load(folder / "manifest.json")


def test_the_digest_sees_files_and_not_metadata(folder: Path) -> None:
    first = published(folder)
    files = [folder / "rows.parquet", folder / "adapter" / "weights.bin"]
    assert publish(folder, "manifest.json", reversed(files), {"seconds": 4}).digest == first.digest
    assert publish(folder, "manifest.json", files[:1], {}).digest != first.digest


def test_digests_of_trees_follow_names_and_contents_not_places(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_bytes(tmp_path / name / "x" / "one.py", b"1")
    assert digest_tree(tmp_path / "a") == digest_tree(tmp_path / "b")
    (tmp_path / "b" / ".one.py.0123abcd.tmp").write_text("unfinished")
    (tmp_path / "b" / "note.txt").write_text("text")
    assert digest_tree(tmp_path / "a", "*.py") == digest_tree(tmp_path / "b", "*.py")
    assert digest_tree(tmp_path / "a") != digest_tree(tmp_path / "b")
    (tmp_path / "b" / "x" / "one.py").rename(tmp_path / "b" / "x" / "two.py")
    assert digest_tree(tmp_path / "a", "*.py") != digest_tree(tmp_path / "b", "*.py")
    assert digest_tree(tmp_path / "none") == digest_json([])


def test_digests_are_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert digest_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest_json({"b": 1, "a": "ä"}) == hashlib.sha256('{"a":"ä","b":1}'.encode()).hexdigest()
    assert len(code_version()) == 64
    with pytest.raises(ArtifactError, match="none: cannot read"):
        digest_file(tmp_path / "none")
