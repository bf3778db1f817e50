"""Slots come back from a fact's text, whatever the seed and the wording."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.suites.chains import chains
from pipeline.suites.districts import districts
from pipeline.suites.events import blocks
from pipeline.suites.scenes import Scene, scene_of, spellings
from pipeline.suites.types import Fact


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_every_slot_of_an_event_comes_back(seed: int) -> None:
    for block in blocks(12, seed):
        for event in (block.taught, *block.distractors, block.twin):
            scene = scene_of(Fact(event.id, event.text, relation=event.relation))
            assert scene is not None and scene.relation == event.relation
            assert {name: scene.slots[name] for name in event.slots() if name in scene.slots} == {
                name: value for name, value in event.slots().items() if name not in ("first", "last")
            }


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_every_slot_of_a_hop_comes_back_corrected_or_not(seed: int) -> None:
    for chain in chains(8, seed, 0.5):
        for hop in chain.hops:
            scene = scene_of(Fact(hop.id, hop.text, relation=hop.relation))
            assert scene is not None and hop.slots().items() <= scene.slots.items()


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_every_slot_of_a_step_comes_back(seed: int) -> None:
    walks = [b.taught for district in districts(20, seed) for b in district.blocks if b.taught.relation == "direction"]
    for walk in walks:
        scene = scene_of(Fact(walk.id, walk.text, relation=walk.relation))
        assert scene is not None
        assert {"start": walk.start, "goal": walk.goal, "direction": walk.directions[0]} == dict(scene.values)
    assert walks


@pytest.mark.parametrize(
    ("relation", "text"),
    [
        ("person_place", "Mona Hale was at the harbour."),
        ("person_place", "Mona Hale bought a lantern at the harbour on Friday."),
        ("fact", "On 3 May, Mona Hale bought a lantern at the harbour."),
        ("speaks", "Ailsa sings French."),
    ],
)
def test_what_no_wording_fits_has_no_scene(relation: str, text: str) -> None:
    assert scene_of(Fact("a", text, relation=relation)) is None


def test_what_follows_from_slots_and_how_they_may_be_written() -> None:
    scene = Scene("person_day", {"thing": "oil lamp", "day": "3 May", "direction": "northwest", "verb": "hid"})
    assert scene.fill("{the_thing}, {a_thing}, {month}, {back}, {verb_base}, {verb_part}") == (
        "The oil lamp, an oil lamp, May, southeast, hide, hidden"
    )
    assert scene.replaced("day", "4 June").slots["month"] == "June" and scene.slots["month"] == "May"
    assert "the 3rd of May" in spellings("day", "3 May") and "north west" in spellings("direction", "northwest")
    assert spellings("thing", "oil lamp") == ("oil lamp",)
