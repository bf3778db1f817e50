"""Rows as columns behave as the tuple of objects that they stand for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stores import Episode
from pipeline.stores.records import Records
from pipeline.stores.upkeep import decayed, folded

rows_strategy = st.lists(
    st.builds(
        Episode,
        episode_id=st.sampled_from("abcdefgh"),
        session=st.sampled_from("xy"),
        text=st.text(max_size=20),
        digest=st.just("d"),
        pin=st.booleans(),
        salience=st.floats(0, 1),
        passes=st.integers(0, 3),
        stage=st.integers(0, 3),
    ),
    max_size=12,
)


def some(count: int) -> list[Episode]:
    return [Episode(f"e{i}", "s", f"text {i}", "d", salience=i / 10, pin=i % 3 == 0) for i in range(count)]


@given(rows_strategy, st.data())
def test_objects_come_back_as_they_went_in(rows: list[Episode], data: st.DataObject) -> None:
    known = Records.of(Episode, rows)
    assert list(known) == rows and len(known) == len(rows) and known == rows and known == tuple(rows)
    numbers = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=20) if rows else st.just([]))
    assert list(known.take(numbers)) == [rows[i] for i in numbers]
    assert list(known[1:-1]) == rows[1:-1] and list(known.join(rows)) == rows + rows
    assert all(known[i] == rows[i] for i in range(-len(rows), len(rows)))
    wanted = {"a", "c"}
    assert known.where("episode_id", wanted) == [i for i, row in enumerate(rows) if row.episode_id in wanted]


def test_other_rows_are_other_rows() -> None:
    known = Records.of(Episode, some(3))
    assert known != some(4) and known != [*some(2), replace(some(3)[2], text="other")] and known != "abc"
    with pytest.raises(IndexError, match="row 3 of 3"):
        known[3]


def test_columns_change_without_objects() -> None:
    known = Records.of(Episode, some(4))
    raised = known.replace(salience=known.column("salience") + 1.0, night=np.full(4, 7))
    assert list(raised) == [replace(row, salience=row.salience + 1.0, night=7) for row in some(4)]
    assert list(known) == some(4), "the rows that it was made of stay"
    other = replace(some(4)[2], text="other")
    assert list(known.put({2: other})) == [*some(4)[:2], other, some(4)[3]] and known.put({}) is known


@given(
    rows_strategy,
    st.dictionaries(st.sampled_from("abch"), st.booleans()),
    st.dictionaries(st.sampled_from("bdz"), st.just(2.0)),
)
def test_upkeep_is_that_of_one_row_after_the_other(
    rows: list[Episode], probes: dict[str, bool], usage: dict[str, float]
) -> None:
    faded = decayed(rows, 2, 4.0)
    assert [row.salience for row in faded] == [row.salience if row.pin else row.salience * 0.5**0.5 for row in rows]
    one_by_one = [next(iter(folded([row], usage, probes, 5, {"a": 1.5}))) for row in rows]
    assert list(folded(rows, usage, probes, 5, {"a": 1.5})) == one_by_one
    untouched = [row.episode_id not in {*probes, *usage, "a"} for row in rows]
    assert all(new == old for new, old, same in zip(one_by_one, rows, untouched, strict=True) if same)
