"""The frozen layers' output survives the way from one stage to the next, or is computed anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.language.encoding import EncodedRows, collate, encode, run_lower, upper_logits
from pipeline.language.lower_states import load_lower, save_lower
from pipeline.language.models import LanguageModel
from tests.language.examples import mixed_rows


@pytest.fixture
def computed(tiny: LanguageModel, tmp_path: Path) -> tuple[EncodedRows, Path]:
    encoded = encode(tiny, mixed_rows(tiny), 2)
    run_lower(tiny, encoded)
    save_lower(tiny, encoded, tmp_path / "states")
    return encoded, tmp_path / "states"


def test_what_is_read_gives_the_same_logits(tiny: LanguageModel, computed: tuple[EncodedRows, Path]) -> None:
    before, path = computed
    after = encode(tiny, mixed_rows(tiny), 2)
    assert load_lower(tiny, after, path)
    assert any(group.tokens for group in after.groups)
    for old, new in zip(before.rows, after.rows, strict=True):
        logits = [upper_logits(tiny, rows, collate(rows, [row])) for rows, row in ((before, old), (after, new))]
        assert torch.equal(*logits)


def test_what_does_not_fit_is_left_alone(tiny: LanguageModel, computed: tuple[EncodedRows, Path]) -> None:
    _, path = computed
    rows = mixed_rows(tiny)
    whole = encode(tiny, rows, 2)
    assert not load_lower(replace(tiny, digest="1" * 16), whole, path)
    assert not load_lower(replace(tiny, dtype=torch.bfloat16), whole, path)
    assert not load_lower(tiny, encode(tiny, rows, 1), path)
    assert not load_lower(tiny, encode(tiny, rows[:-1], 2), path)
    assert not load_lower(tiny, whole, path.with_name("absent"))
    path.write_bytes(b"half a file")
    assert not load_lower(tiny, whole, path)
    assert all(row.lower is None for row in whole.rows)


@pytest.mark.parametrize("share", (0.5, 0.9, 0.999))
def test_a_flipped_byte_is_computed_anew(tiny: LanguageModel, computed: tuple[EncodedRows, Path], share: float) -> None:
    _, path = computed
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 1
    path.write_bytes(data)
    whole = encode(tiny, mixed_rows(tiny), 2)
    assert not load_lower(tiny, whole, path)
    assert all(row.lower is None for row in whole.rows)
