"""Details of relational facts, and which statement answers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StoreError
from pipeline.stores.relations import Relation, details_of, newest_valid, relation_of

AT = Relation("a", "Ana Voss", "bought at", "Quill Emporium", "lantern", 1.0)
STATED = st.builds(
    Relation,
    episode_id=st.uuids().map(str),
    head=st.sampled_from(["Ana Voss", "ana voss", "Bo Lind"]),
    relation=st.sampled_from(["bought at", "lives in"]),
    tail=st.sampled_from(["Quill Emporium", "Hask Hollow", "Trent"]),
    time=st.integers(0, 3).map(float),
    confidence=st.sampled_from([0.1, 0.4, 0.5, 0.9, 1.0]),
)


@given(STATED)
def test_details_survive(relation: Relation) -> None:
    assert relation_of(relation.episode_id, details_of(relation), "elsewhere") == relation


def test_the_source_of_a_fact_is_the_provenance_where_none_is_given() -> None:
    bare = '{"head": "ann", "relation": "r", "tail": "b"}'
    assert relation_of("x", bare, "my.jsonl").provenance == "my.jsonl"
    assert relation_of("x", bare) == Relation("x", "ann", "r", "b")


@pytest.mark.parametrize(
    ("details", "fault"),
    [
        ("", "expected a JSON object"),
        ("[1]", "expected a JSON object"),
        ('{"head": "ann", "relation": "r"}', "'tail', found None"),
        ('{"head": "...", "relation": "r", "tail": "b"}', "'head'"),
        ('{"head": "ann", "relation": "r", "tail": "b", "when": 3}', "unknown field\\(s\\) when"),
        ('{"head": "ann", "relation": "r", "tail": "b", "time": "late"}', "expected float in 'time'"),
        ('{"head": "ann", "relation": "r", "tail": "b", "time": true}', "expected float in 'time'"),
        ('{"head": "ann", "relation": "r", "tail": "b", "confidence": 1.5}', "from 0 to 1"),
    ],
)
def test_what_is_no_relation_is_an_error_that_names_the_fact(details: str, fault: str) -> None:
    with pytest.raises(StoreError, match=f"'x1': .*{fault}"):
        relation_of("x1", details)


@given(st.lists(STATED, max_size=12))
def test_the_newest_valid_statement_of_every_slot_answers(stated: list[Relation]) -> None:
    """Against the definition, slot by slot."""
    chosen = newest_valid(stated, 0.5)
    assert {relation.slot for relation in chosen} == {relation.slot for relation in stated}
    for relation in chosen:
        rivals = [(i, other) for i, other in enumerate(stated) if other.slot == relation.slot]
        sure = [(i, other) for i, other in rivals if other.confidence >= 0.5]
        most = max(other.confidence for _, other in rivals)
        eligible = sure or [(i, other) for i, other in rivals if other.confidence == most]
        assert max(eligible, key=lambda pair: (pair[1].time, pair[0]))[1] == relation
    assert sum(relation.slot == chosen[0].slot for relation in chosen) == 1 if chosen else not stated


def test_a_head_can_have_several_tails_where_the_statements_say_so() -> None:
    friends = [Relation(str(i), "Ana", "knows", tail, time=i, many=True) for i, tail in enumerate(("Bo", "Cy", "Bo"))]
    assert [relation.episode_id for relation in newest_valid(friends, 0.5)] == ["1", "2"]


def test_what_a_relation_is_about_tells_slots_apart() -> None:
    knife = replace(AT, episode_id="b", tail="Trent Stores", about="knife", time=2.0)
    assert newest_valid([AT, knife], 0.5) == [AT, knife]
    assert json.loads(details_of(knife))["about"] == "knife"
