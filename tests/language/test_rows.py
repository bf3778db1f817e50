"""Training rows survive Arrow, and know their losses."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.language.rows import LEARNED, SCHEMA, UNTAUGHT, Kind, TrainingRow, rows_table, table_rows

scores = st.floats(-100, 0, width=32)
rows = st.builds(
    TrainingRow,
    row_id=st.text(max_size=5),
    kind=st.sampled_from(get_args(Kind)),
    episode_id=st.text(max_size=3),
    form=st.text(max_size=3),
    split=st.sampled_from(["train", "probe"]),
    prompt=st.text(max_size=20),
    target=st.text(max_size=20),
    teacher_asked=st.booleans(),
    teacher_right=st.booleans(),
    top_ids=st.lists(st.lists(st.integers(0, 50_000), min_size=2, max_size=2).map(tuple), max_size=3).map(tuple),
    top_log_probs=st.lists(st.lists(scores, min_size=2, max_size=2).map(tuple), max_size=3).map(tuple),
)


@given(made=st.lists(rows, max_size=4))
def test_rows_come_back_from_their_table(made: list[TrainingRow]) -> None:
    table = rows_table(made)
    assert table.schema.equals(SCHEMA) and table_rows(table) == made


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_has_one_loss(kind: Kind) -> None:
    assert (kind in LEARNED) != (kind in UNTAUGHT)
