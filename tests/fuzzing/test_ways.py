"""Every way in, with inputs that nobody would write; `engram bench fuzz` tries a hundred thousand more."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.fuzzing.composed import raw
from pipeline.fuzzing.examine import examine
from pipeline.fuzzing.targets import WAYS, WayIn

QUICK = sorted(set(WAYS) - {"control_tokens"})  # that one loads the real tokenizer


@pytest.mark.parametrize("name", QUICK)
@settings(max_examples=60)
@given(data=st.binary(max_size=400))
def test_bytes_are_refused_by_name_or_taken_whole(name: str, data: bytes, tmp_path: Path) -> None:
    assert examine(WAYS[name], data, tmp_path / "in") is None


def test_ordinary_files_come_through(tmp_path: Path) -> None:
    files = {
        "facts": b'{"id": "f1", "text": "Mona Hale bought a lantern at the harbour."}\n',
        "chat": b'{"role": "user", "content": "Where did I park?"}\n',
        "markdown": b"# Trip\n\nWe went to the harbour.\n",
        "yaml": b"seed: 3\n",
    }
    for name, content in files.items():
        path = tmp_path / WAYS[name].file
        path.write_bytes(content)
        WAYS[name].take(path)


def _way(take: object) -> WayIn:
    return WayIn("way", "in", raw, take)  # type: ignore[arg-type]


def test_the_examination_finds_what_must_not_happen(tmp_path: Path) -> None:
    def broken(path: Path) -> None:
        {}["key"]

    def slow(path: Path) -> None:
        while True:
            time.process_time()

    def torn(path: Path) -> None:
        path.with_name("half.parquet").write_bytes(b"half")
        raise DataError("refused")

    kinds = [getattr(examine(_way(take), b"x", tmp_path / "in", 0.2), "kind", None) for take in (broken, slow, torn)]
    assert kinds == ["traceback", "hang", "leftover"]

    def refused(path: Path) -> None:
        raise DataError("refused")

    assert examine(_way(refused), b"x", tmp_path / "in") is None
    assert examine(_way(len), b"x", tmp_path / "in").kind == "traceback"  # type: ignore[union-attr]
